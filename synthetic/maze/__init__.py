"""Mazes on a lattice: laws, solutions, labels and token sequences, made inside `jit`.

    game = MazeGame.of(Wilson(size=5))
    sequences = game.sample(random.key(0), 64)

`library` alone knows maze-dataset, an optional package, and imports it when asked to.
"""

from synthetic.maze.game import MazeGame, Sequences
from synthetic.maze.generate import (
    DepthFirst,
    Hallway,
    Kruskal,
    Percolated,
    Percolation,
    Wilson,
)
from synthetic.maze.lattice import Maze

__all__ = [
    "DepthFirst",
    "Hallway",
    "Kruskal",
    "Maze",
    "MazeGame",
    "Percolated",
    "Percolation",
    "Sequences",
    "Wilson",
]
