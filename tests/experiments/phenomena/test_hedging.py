"""Distances from the exact states, and checks that notice a wrong latent."""

import numpy as np
import pytest

from experiments.phenomena import hedging, parent_and_child


@pytest.fixture(scope="module")
def right():
    """Metrics and arrays of dictionaries that lie on exact states."""
    states = [
        [state.rows[0] for state in parent_and_child.states(row.case)]
        for row in hedging.TABLE
    ]
    metrics = {
        "cases": [row.name for row in hedging.TABLE],
        "states": [[state.tolist() for state in found] for found in states],
        "two_latents": {"independent": 1.0, "positive correlation": 0.9999},
    }
    curve = parent_and_child.by_eigenvector(np.array([0.2, 0.5]), has_bias=True)
    arrays = {
        # Seeds end in the first or in the last state.
        "cosine": np.array([[found[0], found[-1]] for found in states]),
        "curve": np.stack([curve, curve]),
        "curve_exact": np.stack([curve, curve]),
    }
    return metrics, arrays


def failed(metrics, arrays):
    checks = hedging.make_checks(metrics, arrays)
    return [check.name for check in checks if not check.passed]


def test_the_right_picture_passes(right):
    assert failed(*right) == []


def test_a_latent_that_keeps_to_the_parent_fails(right):
    metrics, arrays = right
    alone = np.broadcast_to([1.0, 0.0], arrays["cosine"].shape)
    found = failed(metrics, arrays | {"cosine": alone})
    assert "hierarchy: cosine with the child" in found
    assert "hierarchy, no biases: cosine with the child" in found
    assert "negative, penalty 0.02: largest distance from the nearest exact state" in found
    assert "independent: cosine with the child" not in found


def test_bands_of_published_cosines_are_constants(right):
    """Both the trained cosines and the exact states are wrong, and agree."""
    metrics, arrays = right
    off = [[[state[0], 5.0] for state in found] for found in metrics["states"]]
    cosine = np.broadcast_to([0.0, 5.0], arrays["cosine"].shape)
    found = failed(metrics | {"states": off}, arrays | {"cosine": cosine})
    published = [row.name for row in hedging.TABLE if row.published is not None]
    assert {f"{name}: cosine with the child" for name in published} <= set(found)


def test_exact_states_are_those_of_the_table(right):
    for row, states in zip(hedging.TABLE, right[0]["states"], strict=True):
        ends = sorted(round(float(state[1]), 3) for state in (states[0], states[-1]))
        assert sorted(set(ends)) == pytest.approx(sorted(row.states), abs=1e-3)


def test_curves_and_two_latents_are_checked(right):
    metrics, arrays = right
    found = failed(
        metrics | {"two_latents": {"independent": 0.99}},
        arrays | {"curve": arrays["curve"] + np.array([0, 0.02])},
    )
    assert found == [
        "curve without biases: largest distance",
        "curve with biases: largest distance",
        "two latents: lowest cosine of a latent with its feature",
    ]


def test_farthest_is_the_worst_seed_from_its_nearest_state():
    known = np.array([[1.0, 0.0], [0.8, 0.6]])
    found = np.array([[0.99, 0.02], [0.83, 0.6], [1.0, 0.0]])
    assert hedging.farthest(found, known) == pytest.approx(0.03)
