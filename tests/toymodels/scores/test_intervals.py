"""Resampled blocks against samples laid side by side; intervals that cover."""

import jax
import numpy as np
import pytest
from scipy import stats

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
    """Student's, of 40 block means. 2,000 draws know it to 1 / sqrt(4000): 4 errors."""
    means = np.random.default_rng(1).normal(size=40)
    means = (means - means.mean()) / means.std() + 5
    weights = intervals.resample(random.key(1), 40, 2000)
    found = intervals.bootstrap(lambda w: {"mean": w @ means / w.sum()}, weights)["mean"]
    assert found.value == pytest.approx(5)
    half = stats.t.ppf(0.975, 39) * means.std(ddof=1) / np.sqrt(40)
    assert found.low == pytest.approx(5 - half, abs=0.065 * half)
    assert found.high == pytest.approx(5 + half, abs=0.065 * half)


# Of 1,000 intervals the share that covers deviates by 0.007; 200 draws cost about 0.002.
COVERS = pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("n_blocks", [3, 8, 32])
def test_intervals_of_a_mean_cover_however_few_the_blocks(n_blocks):
    rng = np.random.default_rng(n_blocks)
    weights = intervals.resample(random.key(3), n_blocks, 200)
    hits = 0
    for means in rng.normal(7, 2, size=(1000, n_blocks)):
        found = intervals.bootstrap(lambda w, m=means: {"mean": w @ m / n_blocks}, weights)
        hits += found["mean"].low <= 7 <= found["mean"].high
    assert hits / 1000 == COVERS


def test_intervals_of_a_ratio_cover_its_closed_form():
    """F1 of a detector with recall 0.8 and false alarms of 0.05, a feature of rate 0.1."""
    n_blocks, size, both, alone, missed = 8, 2048, 0.08, 0.045, 0.02
    truth = 2 * both / (2 * both + alone + missed)
    rates = (both, alone, missed, 1 - both - alone - missed)
    counts = np.random.default_rng(4).multinomial(size, rates, size=(1000, n_blocks))
    weights = intervals.resample(random.key(4), n_blocks, 200)

    def covers(blocks):
        def scores(weights):
            hit, false, lost, _ = weights @ blocks
            return {"f1": 2 * hit / (2 * hit + false + lost)}

        found = intervals.bootstrap(scores, weights)["f1"]
        return found.low <= truth <= found.high

    assert np.mean([covers(blocks) for blocks in counts]) == COVERS


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
    """Draws of 2 and 1: s = 1 / sqrt(2); t(1) = 12.706, and two blocks add sqrt(2)."""
    weights = np.array([[2, 0], [0, 2], [1, 1]])
    rare = intervals.bootstrap(lambda w: {"s": w[0] if w[0] else np.nan}, weights)["s"]
    np.testing.assert_allclose(rare, (1, 1 - 12.7062, 1 + 12.7062), rtol=1e-5)
    once = intervals.bootstrap(lambda w: {"s": w[0] if w[0] else np.nan}, weights[1:])["s"]
    assert once.value == 1
    assert np.isnan(once[1:]).all()
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
