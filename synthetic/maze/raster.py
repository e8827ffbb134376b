"""Mazes as pictures: 2n + 1 by 2n + 1 pixels, walls among them, as in maze-dataset.

Cell (row, column) is the pixel (2 row + 1, 2 column + 1); the pixel between two cells is
open where they are connected.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from synthetic.maze import labels, lattice
from synthetic.maze.lattice import Maze

WALL, OPEN, ORIGIN, TARGET, PATH = range(5)
COLOURS = np.array(
    [(0, 0, 0), (255, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255)], np.uint8
)


def pixels(maze: Maze) -> Int[Array, "*batch side side"]:
    """What every pixel shows: WALL, OPEN, ORIGIN, TARGET or PATH."""
    batch, size = maze.origin.shape, maze.size
    truth = labels.of_maze(maze)
    cells = jnp.where(truth.on_path, PATH, OPEN)
    cells = jnp.where(truth.target, TARGET, jnp.where(truth.origin, ORIGIN, cells))
    between = jnp.where(
        truth.path_connection, PATH, jnp.where(truth.connection, OPEN, WALL)
    )
    grid = jnp.full((*batch, 2 * size + 1, 2 * size + 1), WALL)
    rows, columns = np.divmod(np.arange(size**2), size)
    grid = grid.at[..., 2 * rows + 1, 2 * columns + 1].set(cells)
    ends = lattice.ends(size)
    middle = rows[ends].sum(-1) + 1, columns[ends].sum(-1) + 1
    return grid.at[..., *middle].set(between)


def colours(maze: Maze) -> np.ndarray:
    """The picture in the colours of maze-dataset, uint8 [*batch, side, side, 3]."""
    return COLOURS[np.asarray(pixels(maze))]
