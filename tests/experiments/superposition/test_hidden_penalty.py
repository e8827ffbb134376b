"""The closed form by brute force, the penalised loss by hand, and checks that notice."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from experiments.superposition import hidden_penalty
from experiments.superposition.hidden_penalty import Settings
from toymodels import superposition

DENSITY = 0.1


def cost(norm, bias, importance, penalty):
    """By the midpoint rule over x, with the ReLU of the output."""
    x = (np.arange(2_000) + 0.5) / 2_000
    present = np.square(x - np.maximum(norm**2 * x + bias, 0)).mean()
    absent = max(bias, 0) ** 2
    error = DENSITY * present + (1 - DENSITY) * absent
    return importance * error + penalty * DENSITY * norm * x.mean()


@pytest.mark.parametrize("importance", [1.0, 0.3])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.97, 1.03])
def test_norm_and_threshold_by_brute_force(importance, share):
    threshold = hidden_penalty.WORTH * importance * (2 / 3 - DENSITY / 2)
    penalty = share * threshold
    starts = [(1.0, 0.0), (0.8, 0.02), (0.0, DENSITY / 2), (0.9, -0.2)]
    found = [
        minimize(
            lambda p: cost(abs(p[0]), p[1], importance, penalty), s, method="Nelder-Mead"
        )
        for s in starts
    ]
    best = min(found, key=lambda one: one.fun)
    form = hidden_penalty.alone([penalty], np.array([importance]), DENSITY)
    assert form["norm_alone"][0, 0] == pytest.approx(abs(best.x[0]), abs=3e-3)
    assert (form["norm_alone"][0, 0] > 0) == (share < 1)
    error = cost(abs(best.x[0]), best.x[1], importance, 0)
    assert form["error_alone"][0] == pytest.approx(error, rel=0.01)


def test_least_norm_of_a_held_feature():
    just = 0.9999 * hidden_penalty.WORTH * (2 / 3 - DENSITY / 2)
    form = hidden_penalty.alone([just], np.ones(1), DENSITY)
    assert form["norm_alone"][0, 0] == pytest.approx(np.sqrt(2 / 3), abs=1e-3)


def test_the_penalised_loss_by_hand():
    """One feature of 1 in two: h = (0.6, -0.8), so 1.4 / 2 is added, times the weight."""
    inner = superposition.Bottleneck(2, 2)
    params = superposition.Params(jnp.array([[0.6, -0.8], [0.0, 0.0]]), jnp.zeros(2))
    features = jnp.array([[1.0, 0.0]])
    value, outcome = superposition.PenalisedHidden(inner, 0.5).loss(
        params, features, (), jnp.int32(0)
    )
    assert float(outcome.metrics["error"]) == pytest.approx(0, abs=1e-6)
    assert float(value) == pytest.approx(0.35, rel=1e-6)
    with pytest.raises(ValueError, match="weight is -1"):
        superposition.PenalisedHidden(inner, -1.0)


SMALL = replace(Settings(), n_features=3, n_hidden=2, penalties=(0.0, 0.5))


def failed(W_plain, W_priced, factor=1.0):
    importance = SMALL.importance ** np.arange(3)
    arrays = hidden_penalty.alone(SMALL.penalties, importance, DENSITY)
    arrays |= hidden_penalty.describe(np.array([W_plain, W_priced]))
    error = np.array([0.1 * arrays["error_alone"][1], factor * arrays["error_alone"][1]])
    arrays |= {"penalty": np.array(SMALL.penalties), "error": error}
    checks = hidden_penalty.make_checks(SMALL, arrays)
    return [check.name.split(",")[0] for check in checks if not check.passed]


PLAIN = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]


def test_one_feature_of_three_is_worth_half_the_unit():
    """0.61 is the threshold of importance 1, 0.47 that of 0.7."""
    importance = SMALL.importance ** np.arange(3)
    norm = hidden_penalty.alone([0.5], importance, DENSITY)["norm_alone"][0]
    assert (norm > 0).tolist() == [True, False, False]


def test_what_is_not_as_in_closed_form_is_named():
    norm = hidden_penalty.alone([0.5], np.ones(1), DENSITY)["norm_alone"][0, 0]
    right = [[norm, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert failed(PLAIN, right) == []
    assert failed([*PLAIN[:2], [0.0, 0.0]], right) == ["features held without a penalty"]
    turned = [[0.8 * norm, 0.6 * norm], [0.0, 0.0], [0.0, 0.0]]
    assert failed(PLAIN, turned) == ["held features' share along one coordinate"]
    nothing = np.zeros((3, 2)).tolist()
    assert failed(PLAIN, nothing) == [
        "norm of a feature worth its price",
        "superposition of a held feature",
        "distance of a norm from its closed form there",
        "held features' share along one coordinate",
    ]
    beyond = [[norm, 0.0], [-0.9, 0.0], [0.0, 0.0]]
    assert failed(PLAIN, beyond)[:2] == [
        "norm of a feature that is not worth its price",
        "superposition of a held feature",
    ]
    over = ["error over its closed form there", "the same"]
    assert failed(PLAIN, right, factor=1.1) == over


def test_without_dimensions_to_spare_there_is_nothing_to_measure():
    """As many features are worth their price as there are dimensions, at every penalty."""
    crowded = replace(SMALL, penalties=(0.0,))
    importance = SMALL.importance ** np.arange(3)
    arrays = hidden_penalty.alone(crowded.penalties, importance, DENSITY)
    arrays |= hidden_penalty.describe(np.array([PLAIN]))
    arrays |= {"penalty": np.zeros(1), "error": np.ones(1)}
    checks = hidden_penalty.make_checks(crowded, arrays)
    assert [check.passed for check in checks] == [True] + [False] * 8
