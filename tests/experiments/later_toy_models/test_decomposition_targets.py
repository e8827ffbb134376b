"""A perfect target passes, a broken one does not."""

import jax
import numpy as np
import pytest

from experiments.later_toy_models import decomposition_targets as targets
from synthetic import random
from toymodels import superposition

ANGLE = 2 * np.pi * np.arange(5) / 5
PENTAGON = 1.13 * np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)
BIAS = np.full(5, -0.24)
R = np.random.default_rng(1)
TIGHT = 1.13 * np.concatenate([np.linalg.qr(R.normal(size=(10, 10)))[0] for _ in range(4)])


def found(W, b, loss):
    return targets.describe(W, b, np.array([loss, 2 * loss]), 0.05, within=0.1)


def metrics():
    return {
        "5-2": found(PENTAGON, BIAS, 0.001),
        "40-10": found(TIGHT, np.full(40, -0.24), 0.004),
    }


def test_a_pentagon_and_a_tight_frame_pass():
    checks = targets.make_checks(metrics(), optimum=0.001)
    assert [c.name for c in checks if not c.passed] == []


def test_a_dropped_feature_fails():
    broken = PENTAGON * (np.arange(5) != 3)[:, None] + 1e-3
    record = metrics() | {"5-2": found(broken, BIAS, 0.001)}
    failed = {c.name for c in targets.make_checks(record, 0.001) if not c.passed}
    assert "5-2: share of features represented" in failed
    assert "5-2: distance of the D_i from 2/5" in failed


def test_responses_and_leak_by_hand():
    """0.75 * 1.13^2 - 0.24 on the diagonal, 0.75 * 1.13^2 cos 72 - 0.24 beside it."""
    out = targets.responses(PENTAGON, BIAS)
    assert out[0, 0] == pytest.approx(0.75 * 1.13**2 - 0.24)
    assert out[0, 1] == pytest.approx(0.75 * 1.13**2 * np.cos(ANGLE[1]) - 0.24)
    assert out[0, 2] == 0
    assert found(PENTAGON, BIAS, 0.001)["leak"] == 0
    assert found(PENTAGON, -BIAS, 0.001)["leak"] == pytest.approx(0.24)


def test_the_loss_of_dropping_features_against_samples():
    generator = np.random.default_rng(0)
    f = np.where(generator.random((400_000, 4)) < 0.3, generator.random((400_000, 4)), 0)
    answer = np.array([0.15, 0.15])
    loss = np.square(f[:, 2:] - answer).sum(axis=1).mean() / 4
    # 400,000 samples leave a relative error of about 0.2 %.
    assert targets.dropped_loss(4, 2, 0.3) == pytest.approx(loss, rel=0.01)


@pytest.mark.parametrize("random_bias", [True, False])
def test_the_start_is_that_of_linear_layers(random_bias):
    target = targets.Target(superposition.Bottleneck(400, 25), random_bias)
    params = target.init(random.key(0))
    W, b = np.asarray(params.W), np.asarray(params.b)
    assert abs(W).max() == pytest.approx(1 / 20, rel=0.01)
    assert W.std() == pytest.approx(1 / 20 / 3**0.5, rel=0.02)
    assert abs(b).max() == pytest.approx(0.2 * random_bias, rel=0.02)
    assert jax.tree.structure(params) == jax.tree.structure(superposition.Params(0, 0))
