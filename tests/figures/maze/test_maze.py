"""Pictures of mazes, from plain arrays."""

import numpy as np
import pytest

from figures.maze import drawing

# Cells 0 1 / 2 3, open 0-1 and 1-3.
CONNECTIONS = np.zeros((2, 2, 2), bool)
CONNECTIONS[0, 0, 1] = CONNECTIONS[1, 0, 0] = True


@pytest.mark.parametrize("n_mazes", [1, 5])
def test_mazes(check_figure, n_mazes):
    arrays = {
        "connections": np.repeat(CONNECTIONS[None], n_mazes, axis=0),
        "path": np.tile([0, 1, 3, -1], (n_mazes, 1)),
    }
    check_figure(drawing, {}, arrays)
    arrays["tie"] = np.ones((n_mazes, 4), bool)
    check_figure(drawing, {"titles": [f"maze {i}" for i in range(n_mazes)]}, arrays)


def test_walls_are_the_closed_sides():
    """Cell 0 is closed below, cells 2 and 3 between each other."""
    assert drawing.walls(CONNECTIONS) == [
        ((-0.5, 0.5), (0.5, 0.5)),
        ((0.5, 0.5), (0.5, 1.5)),
    ]


def test_the_path_goes_through_no_wall():
    arrays = {"connections": CONNECTIONS[None], "path": np.array([[0, 1, 3, -1]])}
    panel = drawing.draw({}, arrays).axes[0]
    path = [line for line in panel.lines if len(line.get_xdata()) == 3]
    assert len(path) == 1
    np.testing.assert_array_equal(path[0].get_xydata(), [[0, 0], [1, 0], [1, 1]])
