"""Figures of learning: levels, stages and local bases from small made-up arrays."""

import numpy as np
import pytest

from figures.superposition import energy_levels, learning_stages, local_bases

R = np.random.default_rng(2)
OCTAHEDRON = np.vstack([np.eye(3), -np.eye(3)])
ROWS = 60
GROWTH = np.linspace(0.05, 1, ROWS)
SETS = {
    "sets/step": np.arange(1, ROWS + 1) * 10,
    "sets/W": GROWTH[:, None, None] * OCTAHEDRON,
    "sets/D": np.tile(GROWTH[:, None] / 2, 6),
    "sets/loss": np.geomspace(1, 0.01, ROWS) * np.array([[1], [1.2]]),
}
LEVELS = {
    "levels/step": np.arange(1, ROWS + 1) * 10,
    "levels/D": R.uniform(0, 0.6, (ROWS, 5)),
    "levels/loss": np.geomspace(1, 0.9, ROWS),
}
BASES = {
    "density": np.array([0.1, 0.03]),
    "gram": R.normal(size=(2, 3, 20, 20)),
    "best": np.array([2, 1]),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(learning_stages, {"metrics": {"first_octahedron": 1}}, SETS)
    check_figure(energy_levels, {"metrics": {"shown": {"row": 40}}}, LEVELS)
    check_figure(local_bases, {}, BASES)


def test_stages_are_taken_from_the_fall_of_the_loss():
    """Its logarithm falls evenly, so the stages are at their shares of the rows."""
    rows = learning_stages.stage_rows(SETS["sets/loss"][0])
    expected = [int(np.ceil(share * (ROWS - 1))) for share in learning_stages.STAGES]
    assert rows == [*expected, ROWS - 1]


def test_the_octahedron_is_turned_onto_the_axes():
    rotation = np.linalg.qr(R.normal(size=(3, 3)))[0]
    W = OCTAHEDRON @ rotation
    np.testing.assert_allclose(W @ learning_stages.turn(W), OCTAHEDRON, atol=1e-12)


def test_the_matrix_is_the_best_seed():
    figure = local_bases.draw({}, BASES)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), BASES["gram"][0, 2])


def test_the_largest_jump_is_shaded():
    figure = energy_levels.draw({"metrics": {"shown": {"row": 40}}}, LEVELS)
    shaded = figure.axes[0].patches[0]
    assert shaded.get_x() == pytest.approx(LEVELS["levels/step"][40])
