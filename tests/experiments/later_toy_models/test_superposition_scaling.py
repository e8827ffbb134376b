"""Frequencies, decays and closed forms of superposition_scaling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.harness.experiment import Job
from experiments.later_toy_models import superposition_scaling as scaling
from experiments.later_toy_models.superposition_scaling import Settings
from synthetic import random
from toymodels import superposition

PARAMS = superposition.Params(jnp.array([[3.0, 4.0], [0.3, 0.4]]), jnp.array([1.0, 1.0]))
NO_UPDATE = jax.tree.map(jnp.zeros_like, PARAMS)


def test_frequencies_fall_as_a_power_and_sum_to_one():
    p = np.asarray(scaling.frequencies(50, 0.5))
    assert p.sum() == pytest.approx(1, rel=1e-5)
    assert p[0] / p[3] == pytest.approx(4**1.5, rel=1e-5)


def pull(strength):
    found: Any = scaling.decay(strength).update(NO_UPDATE, optax.EmptyState(), PARAMS)[0]
    np.testing.assert_array_equal(found.b, 0)
    return np.asarray(found.W)


def test_positive_decay_pulls_to_zero():
    np.testing.assert_allclose(pull(0.5), 0.5 * PARAMS.W)


def test_negative_decay_pulls_to_unit_rows():
    # Norms 5 and 1/2: updates are subtracted, so the first shrinks and the second grows.
    np.testing.assert_allclose(pull(-0.5), [[1.2, 1.6], [-0.15, -0.2]], rtol=1e-5)


def test_what_is_not_represented_leaves_its_variance():
    settings = Settings(n_features=30)
    model, world = scaling.problem_of(4, 0, settings)(jnp.float32(0.5))
    features = world.sample(random.key(5), 400_000).features
    variance = np.var(np.asarray(features), axis=0, dtype=float)
    found = scaling.losses_without(0.5, settings)
    assert len(found) == 31
    for k in (0, 4, 15):  # at k = 15, some 26,000 values
        assert found[k] == pytest.approx(variance[k:].sum() / 30, rel=0.03)
    p = 30**-1.5 / np.sum(np.arange(1, 31) ** -1.5)
    assert found[29] == pytest.approx((4 * p / 3 - p**2) / 30, rel=1e-5)
    assert found[30] == 0
    assert model.init(random.key(6)).b.std() > 0.5


def test_every_decay_has_a_start_of_its_own():
    settings = Settings(n_features=30, weight_scale=(1, 0.1, 2), bias_scale=(1, 0, 3))
    whole, small, large = (
        scaling.problem_of(4, i, settings)(jnp.float32(0))[0].init(random.key(7))
        for i in range(3)
    )
    assert np.std(whole.W) == pytest.approx(0.5, rel=0.2)
    np.testing.assert_allclose(0.1 * whole.W, small.W, rtol=1e-6)
    np.testing.assert_allclose(2 * whole.W, large.W, rtol=1e-6)
    assert not np.any(small.b)
    np.testing.assert_allclose(3 * whole.b, large.b, rtol=1e-6)


SETTINGS = Settings(
    n_features=40, hidden=(2, 4, 8), alpha=(0.0, 1.0), decay=(-1.0, 0.2, 0.6)
)
# [alpha, n + 1], then [m, alpha]: the losses of models that are exact on m features.
WITHOUT = np.stack([scaling.losses_without(a, SETTINGS) for a in SETTINGS.alpha])
EXACT = WITHOUT[:, SETTINGS.hidden].T


def lawful():
    """Losses on which all laws hold, and the rows that are represented with decay."""
    m = np.array(SETTINGS.hidden)
    strong = np.stack([1 / m, 1 / m**1.1], axis=1)
    norms = np.ones((3, 3, 2, 40))
    norms[1:] = (np.arange(40) < m[:, None, None]) * 0.9
    return np.stack([strong, EXACT, EXACT]), norms


def test_represented_features_and_the_loss_of_the_others():
    metrics, arrays = scaling.measured(*lawful(), SETTINGS)
    np.testing.assert_array_equal(arrays["represented"][2], [[2, 2], [4, 4], [8, 8]])
    np.testing.assert_allclose(arrays["eq4"][1], EXACT)
    np.testing.assert_allclose(arrays["eq4"][0], 0)
    assert len(scaling.table(metrics)) == 1 + 6


def test_a_scale_is_missing(tmp_path):
    settings = Settings(decay=(0.3,), weight_scale=(1.0,))
    with pytest.raises(ValueError, match=r"bias_scale has 3 numbers, expected 1, one for"):
        scaling.run(settings, 0, Job(tmp_path, "signature"))


def test_checks_pass_on_the_laws_and_fail_without_them():
    loss, norms = lawful()
    metrics, _ = scaling.measured(loss, norms, SETTINGS)
    passed = {check.name: check.passed for check in scaling.make_checks(metrics)}
    assert passed == {
        "decay -1, alpha 0: slope": True,
        "decay 0.2, alpha 1: slope": True,
        "decay 0.2: loss / that of unlearned features, median": True,
        "decay 0.6, alpha 1: slope": True,
        "decay 0.6: loss / that of unlearned features, median": True,
    }
    metrics, _ = scaling.measured(np.ones_like(loss), norms, SETTINGS)
    assert not any(check.passed for check in scaling.make_checks(metrics))
