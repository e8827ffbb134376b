"""Lattice mazes as arrays: cells, connections, moves.

Cell (row, column) of an n by n lattice has the number n * row + column. A maze is
`connections`, bool [2, n, n], as in maze-dataset: plane 0 says which cells are open
downwards, plane 1 which to the right; the last row of plane 0 and the last column of plane
1 are closed. The 2n(n - 1) possible connections also have numbers: those of plane 0 row by
row, then those of plane 1. Moves are numbered up, down, left, right, so that move ^ 1 is
the way back.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int

from synthetic.validation import concrete, require_range

MOVES = ("up", "down", "left", "right")
LARGEST = 31  # bits of a word that a row may take when it is shifted (`bits`)

Connections = Bool[Array, "*batch 2 n n"]


class Maze(NamedTuple):
    """A maze with two cells and a shortest path between them.

    Attributes:
        connections: [*batch, 2, n, n].
        origin: [*batch], where the path begins.
        target: [*batch], where it ends.
        path: [*batch, slot], the cells of the path, both ends among them; -1 after it.
    """

    connections: Bool[Array, "*batch 2 n n"]
    origin: Int[Array, "*batch"]
    target: Int[Array, "*batch"]
    path: Int[Array, "*batch slot"]

    @property
    def size(self) -> int:
        return self.connections.shape[-1]


def n_connections(size: int) -> int:
    """How many connections a lattice can have."""
    return 2 * size * (size - 1)


def ends(size: int) -> Int[np.ndarray, "connection 2"]:
    """The two cells of every connection, the upper or left one first."""
    cell = np.arange(size * size).reshape(size, size)
    down = np.stack([cell[:-1], cell[1:]], axis=-1)
    right = np.stack([cell[:, :-1], cell[:, 1:]], axis=-1)
    return np.concatenate([down.reshape(-1, 2), right.reshape(-1, 2)])


def neighbours(size: int) -> Int[np.ndarray, "cell 4"]:
    """The cell that every move leads to, -1 where it leaves the lattice."""
    framed = np.full((size + 2, size + 2), -1)
    framed[1:-1, 1:-1] = np.arange(size * size).reshape(size, size)
    moved = [framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]]
    return np.stack(moved, axis=-1).reshape(-1, 4)


def to_list(connections: Connections) -> Bool[Array, "*batch connection"]:
    """Which connections a maze has, by number."""
    batch = connections.shape[:-3]
    down = connections[..., 0, :-1, :].reshape(*batch, -1)
    right = connections[..., 1, :, :-1].reshape(*batch, -1)
    return jnp.concatenate([down, right], axis=-1)


def from_list(present: Bool[Array, "*batch connection"], size: int) -> Connections:
    """The maze that has these connections; undoes `to_list`."""
    batch, half = present.shape[:-1], size * (size - 1)
    pad = [(0, 0)] * len(batch)
    down = present[..., :half].reshape(*batch, size - 1, size)
    right = present[..., half:].reshape(*batch, size, size - 1)
    return jnp.stack(
        [jnp.pad(down, [*pad, (0, 1), (0, 0)]), jnp.pad(right, [*pad, (0, 0), (0, 1)])],
        axis=-3,
    )


def legal_moves(connections: Connections) -> Bool[Array, "*batch cell 4"]:
    """Which moves are open from every cell: up, down, left, right."""
    batch = connections.shape[:-3]
    down, right = connections[..., 0, :, :], connections[..., 1, :, :]
    up = jnp.roll(down, 1, axis=-2)  # The last row and column are closed, so that
    left = jnp.roll(right, 1, axis=-1)  # nothing open comes in at the other side.
    return jnp.stack([up, down, left, right], axis=-1).reshape(*batch, -1, 4)


def with_connection(
    connections: Connections, number: Int[Array, "*batch"], is_open: ArrayLike
) -> Connections:
    """The mazes with one connection each opened or closed."""
    present = to_list(connections)
    chosen = jnp.asarray(number)[..., None] == jnp.arange(present.shape[-1])
    return from_list(jnp.where(chosen, is_open, present), connections.shape[-1])


def require_size(size: int) -> None:
    """Raises ValueError unless a lattice of this size can be built."""
    if not isinstance(size, int | np.integer):
        raise ValueError(
            f"size is {size!r}, expected an int; it changes shapes, so it is not traced"
        )
    require_range("size", size, 2, LARGEST, "a lattice has size rows and as many columns")


def require_connections(connections: Array | np.ndarray) -> None:
    """Raises ValueError unless an array holds square mazes of this form."""
    shape = np.shape(connections)
    if len(shape) < 3 or shape[-3] != 2 or shape[-2] != shape[-1]:
        raise ValueError(
            f"connections has shape {shape}, expected [*batch, 2, n, n]; plane 0 says "
            "which cells are open downwards, plane 1 which to the right"
        )
    require_size(shape[-1])
    known = concrete(connections)
    if known is None:
        return
    if known.dtype != bool:
        raise ValueError(
            f"connections has dtype {known.dtype}, expected bool; compare with 0 first"
        )
    if known[..., 0, -1, :].any() or known[..., 1, :, -1].any():
        raise ValueError(
            "connections leave the lattice, expected the last row of plane 0 and the last "
            "column of plane 1 to be closed; are the planes (down, right) swapped?"
        )
