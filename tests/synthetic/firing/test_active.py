"""Samplers of active features: the law of Independent, compaction, sums, overflow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import SparseFeatures, directions, firing, random
from synthetic.base import Pairs, to_dense
from synthetic.firing import active
from synthetic.magnitude import Circle, RectifiedNormal, Uniform
from synthetic.noise import weighted_sum
from synthetic.testing import check

BATCH = 2**15
P = jnp.array([0.9, 0.5, 0.1, 0.02, 0.0, 1.0])
LAW = active.Events(P, 80)


def test_events_fire_as_independent_features_do():
    fires, level = map(np.asarray, jax.jit(lambda k: LAW.draw(k, BATCH))(random.key(100)))
    p = np.asarray(P, np.float64)
    error = np.sqrt(p * (1 - p) / BATCH) + 1e-9
    assert np.abs((fires.mean(0) - p) / error).max() < 5
    together = fires.T.astype(float) @ fires / BATCH
    expected = np.outer(p, p)
    error = np.sqrt(expected * (1 - expected) / BATCH) + 1e-9
    off = ~np.eye(6, dtype=bool)
    assert np.abs((together - expected) / error)[off].max() < 5
    assert stats.kstest(level[fires], "uniform").statistic < 3 / np.sqrt(fires.sum())


def test_rare_features_among_many_keep_their_rate():
    """A million features with p_i ~ i: float32 sums would give the first a wrong rate."""
    n, batch = 10**6, 2**12
    p = jnp.linspace(0, 1e-4, n)
    law = active.Events(p, active.slots_for(p))
    drawn = jax.jit(lambda law, k: law.draw_active(k, batch))(law, random.key(101))
    index = np.asarray(drawn.index)[np.asarray(drawn.used)]
    count = np.bincount(index // (n // 10), minlength=10)
    expected = np.asarray(p, np.float64).reshape(10, -1).sum(1) * batch
    assert np.abs((count - expected) / np.sqrt(expected)).max() < 5
    first = (index < n // 100).sum()
    assert abs(first - batch * 0.005) < 5 * np.sqrt(batch * 0.005)


@pytest.mark.parametrize("width", [5, 32, 100])
def test_compact_lists_the_true_places_in_order(width):
    mask = np.random.default_rng(0).random((50, width)) < 0.2
    slots = int(mask.sum(1).max()) - 1
    place, used, overflow = map(np.asarray, active.compact(jnp.asarray(mask), slots))
    for row in range(50):
        expected = np.flatnonzero(mask[row])
        np.testing.assert_array_equal(place[row, used[row]], expected[:slots])
        assert overflow[row] == (len(expected) > slots)
        assert not place[row, ~used[row]].any()


def test_the_weighted_sum_is_the_product_with_the_dense_features():
    rng = np.random.default_rng(1)
    pairs = Pairs(
        jnp.asarray(rng.integers(0, 7, (20, 4))),
        jnp.asarray(rng.random((20, 4)), jnp.float32),
    )
    rows = directions.random(random.key(102), 7, 3)
    np.testing.assert_allclose(
        weighted_sum(pairs, rows), to_dense(pairs, 7) @ rows, atol=1e-6
    )
    empty = Pairs(jnp.zeros((2, 4), int), jnp.zeros((2, 4)))
    assert not weighted_sum(empty, rows).any()


def test_a_world_of_events_is_a_sparse_world():
    rows = directions.random(random.key(103), 6, 4)
    world = SparseFeatures(rows, LAW, RectifiedNormal(jnp.arange(1.0, 7.0), 0.0), 0.5)
    batch = jax.jit(world.sample, static_argnums=1)(random.key(104), 64)
    x, pairs = jax.jit(world.sample_pairs, static_argnums=1)(random.key(104), 64)
    dense = np.asarray(to_dense(pairs, 6))
    np.testing.assert_allclose(batch.features, dense, rtol=1e-6)
    np.testing.assert_allclose(dense[dense != 0] % 1, 0, atol=1e-5)
    np.testing.assert_allclose(x, dense @ np.asarray(rows) + 0.5, atol=1e-5)
    np.testing.assert_allclose(batch.x, x, atol=1e-5)
    assert set(np.unique(dense[:, 5])) == {6.0}


def test_overflow_is_nan_as_often_as_the_poisson_law_says():
    # A traced probability is not checked, so that so few slots pass.
    level = jax.jit(lambda p, k: active.Events(p, 10).draw_active(k, 2**14).level)(
        jnp.full(100, 0.05), random.key(105)
    )
    lost = np.isnan(np.asarray(level)).all(1)
    np.testing.assert_array_equal(np.isnan(np.asarray(level)).any(1), lost)
    # 100 rates of -log 0.95 make a mean of 5.13 events.
    expected = stats.poisson.sf(10, -100 * np.log(0.95))
    assert abs(lost.mean() - expected) < 5 * np.sqrt(expected / 2**14)


@pytest.mark.slow
def test_a_world_of_events_keeps_the_contract():
    rows = directions.random(random.key(106), 6, 4)
    world = SparseFeatures(rows, active.Events(P, 80), Uniform(0.5, 1.0), 0.1, 0.2)
    check(world, random.key(107))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: active.Events(jnp.full(100, 0.05), 8),
            r"slots is 8, expected a number in \[\d+, inf\]; about 5.13 events fall",
        ),
        (lambda: active.Events(jnp.array([0.1, 1.1]), 8), r"probability holds 1.1"),
        (
            lambda: SparseFeatures(jnp.eye(2), firing.Independent(P[:2])).sample_pairs(
                random.key(0), 3
            ),
            r"slots is None, expected a number for Independent; give the most features",
        ),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_a_magnitude_of_pairs_needs_a_law_that_draws_every_feature():
    law = active.Events(jnp.full(4, 0.1), slots=8)
    with pytest.raises(ValueError, match=r"Circle with the law Events, .*CorrelatedSets"):
        SparseFeatures(jnp.eye(4), law, Circle())
