"""Trees as arrows: every cell but the root points to the next cell on the way to it.

An arrow is a move, up, down, left or right, kept as two bits: `low` and `high` hold the
cells where the move's number has these bits.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt32

from synthetic.maze import bits, lattice
from synthetic.maze.bits import Cells


def union(sets: UInt32[Array, "move word batch"]) -> Cells:
    """The cells of four sets."""
    return sets[0] | sets[1] | sets[2] | sets[3]


def by_move(cells: Cells, low: Cells, high: Cells) -> tuple[Cells, Cells, Cells, Cells]:
    """The cells whose arrow points up, down, left, right."""
    return (
        cells & ~low & ~high,
        cells & low & ~high,
        cells & ~low & high,
        cells & low & high,
    )


def move_of(cell: Cells, low: Cells, high: Cells) -> Bool[Array, "move batch"]:
    """The move that the arrow of this one cell stands for."""
    return jnp.stack([(cells != 0).any(0) for cells in by_move(cell, low, high)])


def follow(cells: Cells, low: Cells, high: Cells, size: int) -> Cells:
    """Where their arrows lead; a cell whose arrow leaves the lattice stays."""
    onward = jnp.zeros_like(cells)
    for move, pointing in enumerate(by_move(cells, low, high)):
        leaves = lattice.neighbours(size)[:, move].reshape(size, size) < 0
        outside = bits.constant(leaves)
        onward |= bits.step(pointing, size)[move] | pointing & outside
    return onward


def maze(cells: Cells, low: Cells, high: Cells, size: int) -> Bool[Array, "batch 2 n n"]:
    """The maze in which every one of these cells is connected along its arrow."""
    up, down, left, right = by_move(cells, low, high)
    planes = (down | bits.step(up, size)[0], right | bits.step(left, size)[2])
    planes = jnp.stack([bits.unpack(plane, size) for plane in planes])
    return planes.reshape(2, size, size, -1).transpose(3, 0, 1, 2)
