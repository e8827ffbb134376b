"""Resampled blocks against samples laid side by side; intervals that cover."""

import jax
import numpy as np
import pytest

from synthetic import random
from synthetic.base import Batch
from toymodels.scores import intervals
from toymodels.scores.statistics import measure, on_host

compiled = jax.jit(measure)
BLOCKS, SIZE = 6, 50


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 1, (BLOCKS, SIZE, 4)) + rng.normal(size=(BLOCKS, 1, 1))
    a = rng.normal(size=(BLOCKS, SIZE, 3)) * (rng.random((BLOCKS, SIZE, 3)) < 0.4)
    z = rng.normal(size=(BLOCKS, SIZE, 2)) + 10 + a[..., :2]
    return tuple(v.astype(np.float32) for v in (x, a, z))


def test_weighted_blocks_are_the_repeated_samples(data):
    x, a, z = data
    blocks = [on_host(compiled(Batch(x[b], a[b]), z[b], 0.9 * x[b])) for b in range(BLOCKS)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *blocks)
    weights = np.array([0, 2, 1, 0, 3, 0])
    found = intervals.weighted(stacked, weights)
    taken = np.repeat(np.arange(BLOCKS), weights)
    x, a, z = (v[taken].reshape(-1, v.shape[-1]) for v in data)
    whole = on_host(compiled(Batch(x, a), z, 0.9 * x))
    for name, one, other in zip(found._fields, found, whole, strict=True):
        # Float32 moments of 300 terms.
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-4, err_msg=name)
    sums = intervals.weighted_sums((stacked.z_on, stacked.error), weights)
    np.testing.assert_allclose(sums[0], whole.z_on)


def test_resampling_takes_as_many_blocks_as_there_are():
    weights = intervals.resample(random.key(0), 8, 400)
    assert weights.shape == (400, 8)
    assert (weights.sum(axis=1) == 8).all()
    # Each count has mean 1 and deviation sqrt(7/8): 400 draws.
    assert np.abs(weights.mean(axis=0) - 1).max() < 4.5 / np.sqrt(400)
    np.testing.assert_array_equal(weights, intervals.resample(random.key(0), 8, 400))


def test_interval_of_a_mean_is_that_of_theory():
    """40 block means of deviation 1: half width 1.96 / sqrt(40), within 15 %."""
    means = np.random.default_rng(1).normal(size=40)
    means = (means - means.mean()) / means.std() + 5
    weights = intervals.resample(random.key(1), 40, 2000)
    found = intervals.bootstrap(lambda w: {"mean": w @ means / w.sum()}, weights)["mean"]
    assert found.value == pytest.approx(5)
    half = 1.96 / np.sqrt(40)
    assert found.low == pytest.approx(5 - half, abs=0.15 * half)
    assert found.high == pytest.approx(5 + half, abs=0.15 * half)


def test_differences_on_the_same_blocks_are_tighter_than_each():
    """What the blocks share cancels: b is a + 0.1 exactly."""
    a = np.random.default_rng(2).normal(size=20)
    weights = intervals.resample(random.key(2), 20, 200)
    found = intervals.bootstrap(
        lambda w: {"a": w @ a / w.sum(), "b - a": w @ (a + 0.1 - a) / w.sum()}, weights
    )
    assert found["a"].high - found["a"].low > 0.5
    np.testing.assert_allclose(found["b - a"], 0.1, rtol=1e-9)


def test_draws_without_a_value_do_not_count():
    weights = np.array([[2, 0], [0, 2], [1, 1]])
    rare = intervals.bootstrap(lambda w: {"s": w[0] if w[0] else np.nan}, weights)["s"]
    assert rare.value == 1
    assert 1 <= rare.low <= rare.high <= 2
    never = intervals.bootstrap(lambda w: {"s": np.nan}, weights)["s"]
    assert np.isnan(never).all()


def test_paired_difference_by_hand():
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(2) = 4.3027."""
    found = intervals.paired_difference([11, 22, 33], [10, 20, 30])
    half = 4.30265 / np.sqrt(3)
    np.testing.assert_allclose(found, (2, 2 - half, 2 + half), rtol=1e-5)


def test_refuses_what_has_no_spread():
    with pytest.raises(
        ValueError, match=r"blocks is 1, expected .*one block has no spread"
    ):
        intervals.resample(random.key(0), 1, 10)
    with pytest.raises(ValueError, match=r"seeds is 1, expected .*one seed has no spread"):
        intervals.paired_difference([1.0], [2.0])
    with pytest.raises(ValueError, match=r"of the second is 1, expected 2; pair them"):
        intervals.paired_difference([1.0, 2.0], [2.0])
    with pytest.raises(ValueError, match=r"level is 95, expected .*; 95 % is 0.95"):
        intervals.paired_difference([1.0, 2.0], [2.0, 1.0], level=95)
