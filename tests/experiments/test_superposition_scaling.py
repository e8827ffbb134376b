"""Frequencies, decays and closed forms of superposition_scaling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import superposition_scaling as scaling
from experiments.superposition_scaling import Settings
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


def test_what_is_left_out_is_its_variance():
    settings = Settings(n_features=30)
    model, world = scaling.problem_of(4, settings)(jnp.float32(0.5))
    features = world.sample(random.key(5), 50_000).features
    variance = np.var(np.asarray(features, float), axis=0)[4:].sum() / 30
    assert scaling.left_out_loss(settings, 0.5, 4) == pytest.approx(variance, rel=0.04)
    assert model.init(random.key(6)).b.std() > 0.5


def test_the_two_laws_pass_and_their_exchange_fails():
    laws = {"strong": [-1.0, -1.3], "weak": [-0.2, -1.0]}
    metrics = {"alpha": [0.0, 1.0], "slope": laws, "slope_of_left_out": [-0.3, -1.02]}
    assert all(check.passed for check in scaling.make_checks(metrics))
    metrics["slope"] = {"strong": laws["weak"], "weak": [-1.0, -0.5]}
    assert not any(check.passed for check in scaling.make_checks(metrics))
