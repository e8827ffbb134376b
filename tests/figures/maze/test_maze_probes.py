"""A maze player's figure: the control beside the model, crosses where mazes are misread."""

import numpy as np
import pytest

from figures import style
from figures.maze import maze_probes

PLACES = ("<ADJLIST_END>", "<PATH_START>")
RECORD = {
    "metrics": {
        "size": 2,
        "sites": ["embedding", "attention 1", "MLP 1"],
        "best_place": "<PATH_START>",
        "best_site": 2,
        "scores": {
            "trained": {place: {"connections": [0.75, 0.8, 0.9]} for place in PLACES},
            "control": {place: {"connections": [0.75, 0.7, 0.7]} for place in PLACES},
        },
    }
}
# Cells 0 1 / 2 3, open 0-1 and 1-3; the second maze is read with 0-2 instead of 0-1.
TRUE = np.zeros((2, 2, 2, 2), bool)
TRUE[:, 0, 0, 1] = TRUE[:, 1, 0, 0] = True
READ = TRUE.copy()
READ[1, 1, 0, 0], READ[1, 0, 0, 0] = False, True
ARRAYS = {
    "step": np.arange(1, 4),
    "curve/loss": np.array([3.0, 1.0, 0.5]),
    "mazes/true": TRUE,
    "mazes/decoded": READ,
    "mazes/path": np.tile([0, 1, 3, -1], (2, 1)),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(maze_probes, RECORD, ARRAYS)


def test_crosses_are_where_the_probe_is_wrong():
    figure = maze_probes.draw(RECORD, ARRAYS)
    crosses = [
        sorted(
            tuple(np.asarray(line.get_xydata())[0].tolist())
            for line in panel.lines
            if line.get_marker() == "X"
        )
        for panel in figure.axes[2:]
    ]
    # Between cells 0 and 2 the side is below the first cell, between 0 and 1 right of it.
    assert crosses == [[], [], [], [(0.0, 0.5), (0.5, 0.0)]]


def test_the_control_and_the_base_rate_are_drawn_beside_the_trained_model():
    panel = maze_probes.draw(RECORD, ARRAYS).axes[1]
    lines = {line.get_label(): line for line in panel.lines}
    for name in ("trained", "control"):
        for place, color in zip(PLACES, style.SERIES, strict=False):
            line = lines[f"at {place}, {name}"]
            expected = RECORD["metrics"]["scores"][name][place]["connections"]
            np.testing.assert_array_equal(line.get_ydata(), expected)
            assert line.get_color() == color
    # Three of the four connections of 2 x 2 cells are open in a tree.
    assert np.asarray(lines["base rate"].get_ydata())[0] == pytest.approx(0.75)
