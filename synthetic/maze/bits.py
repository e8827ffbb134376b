"""Sets of cells as bits: 32 cells a word, [word, batch], the batch last.

One operation on a word treats 32 cells of a maze, and loops over the batch are contiguous.
A lattice of 5 by 5 cells is one word, of 7 by 7 two. Bits beyond the last cell are 0.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

Cells = UInt32[Array, "word batch"]


def n_words(size: int) -> int:
    """Words a set of the cells of a lattice takes."""
    return -(-size * size // 32)


def pack(planes: Bool[Array, "cell batch"]) -> Cells:
    """The set of the cells that are true."""
    n_cells, batch = planes.shape
    planes = jnp.pad(planes, ((0, -n_cells % 32), (0, 0))).reshape(-1, 32, batch)
    place = jnp.arange(32, dtype=jnp.uint32)[:, None]
    return (planes.astype(jnp.uint32) << place).sum(1, dtype=jnp.uint32)


def unpack(cells: Cells, size: int) -> Bool[Array, "cell batch"]:
    """Which cells are in the set."""
    cell = np.arange(size * size)
    place = (cell % 32).astype(np.uint32)[:, None]
    return (cells[cell // 32] >> place & 1) != 0


def of_cell(cell: Int[Array, " batch"], size: int) -> Cells:
    """The set of one cell; empty for a number below 0."""
    word = jnp.arange(n_words(size))[:, None] == cell >> 5
    return jnp.where(word, jnp.uint32(1) << (cell & 31).astype(jnp.uint32), 0)


def constant(planes: Bool[np.ndarray, "n n"]) -> UInt32[np.ndarray, "word 1"]:
    """A fixed set, the same for the whole batch."""
    bits = np.pad(planes.reshape(-1), (0, -planes.size % 32)).reshape(-1, 32)
    return (bits.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(
        1, dtype=np.uint32, keepdims=True
    )


def everywhere(size: int) -> UInt32[np.ndarray, "word 1"]:
    """All cells."""
    return constant(np.ones((size, size), bool))


def meets(a: Cells, b: Cells) -> Bool[Array, " batch"]:
    """Whether two sets have a cell in common."""
    return ((a & b) != 0).any(0)


def where(condition: Bool[Array, " batch"], cells: Cells) -> Cells:
    """The set where the condition holds, else the empty one."""
    return jnp.where(condition, cells, jnp.uint32(0))


def shift(cells: Cells, by: int) -> Cells:
    """Adds `by`, of at most 31, to every number; cells pushed out at an end are dropped.

    Bits beyond the last cell may be set afterwards.
    """
    n, empty = abs(by), jnp.zeros_like(cells[:1])
    if by > 0:
        below = jnp.concatenate([empty, cells[:-1]])
        return cells << n | below >> (32 - n)
    above = jnp.concatenate([cells[1:], empty])
    return cells >> n | above << (32 - n)


def step(cells: Cells, size: int) -> tuple[Cells, Cells, Cells, Cells]:
    """Where a move up, down, left or right leads from these cells.

    A move out of the lattice leads nowhere.
    """
    column = np.broadcast_to(np.arange(size), (size, size))
    not_first, not_last = constant(column > 0), constant(column < size - 1)
    return (
        shift(cells, -size),
        shift(cells, size) & everywhere(size),
        shift(cells & not_first, -1),
        shift(cells & not_last, 1),
    )
