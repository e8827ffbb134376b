"""The k-th largest value, against NumPy's partition and at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sparse_coding.select import (
    annealed,
    batch_kth_largest,
    keep_batch_k,
    keep_k,
    keep_k_signed,
    kth_largest,
)


@pytest.mark.parametrize(
    ("batch", "width", "k"), [(1, 1, 1), (7, 33, 5), (64, 128, 8), (96, 40, 40), (33, 9, 1)]
)
def test_counts_exactly_k_and_equals_partition(batch, width, k):
    z = np.random.default_rng(batch).gamma(0.3, size=(batch, width)).astype(np.float32)
    kept = np.asarray(keep_k(jnp.asarray(z), k))
    expected = np.where(z >= np.partition(z, -k, axis=1)[:, [-k]], z, 0)
    np.testing.assert_array_equal(kept, expected)
    assert ((kept > 0).sum(1) == k).all()


def test_values_of_every_scale():
    """From the smallest normal number to the largest: 277 octaves in one row."""
    z = jnp.array([[2e-38, 1e-20, 1e-3, 1.0, 1e10, 1e20, 3e38, 2e-3]], jnp.float32)
    for k in range(1, 9):
        assert int((keep_k(z, k) > 0).sum()) == k


def test_fewer_positive_entries_than_k_are_all_kept():
    z = jnp.array([[0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(kth_largest(z, 3), [0.0, 0.0])
    np.testing.assert_array_equal(keep_k(z, 3), z)


def test_ties_at_the_kth_place_stay_together():
    z = jnp.array([[2.0, 1.0, 1.0, 1.0, 0.5]])
    np.testing.assert_array_equal(keep_k(z, 2), [[2.0, 1.0, 1.0, 1.0, 0.0]])


def test_nan_and_infinity_end_the_search():
    z = jnp.array([[jnp.nan, 1.0, 2.0], [jnp.inf, 1.0, 2.0], [3.0, 1.0, 2.0]])
    kept = keep_k(z, 1)
    assert np.isnan(kept[0]).any() or kept[0].sum() > 0
    np.testing.assert_array_equal(kept[2], [3.0, 0.0, 0.0])


def test_k_can_be_swept_by_vmap():
    z = jnp.asarray(np.random.default_rng(0).random((64, 20), np.float32))
    ks = jnp.array([1, 4, 20])
    kept = jax.jit(jax.vmap(keep_k, in_axes=(None, 0)))(z, ks)
    np.testing.assert_array_equal((kept > 0).sum(-1), np.repeat(ks[:, None], 64, 1))


def test_gradient_flows_through_the_kept_entries_only():
    z = jnp.array([[5.0, 1.0, 4.0, 2.0]])
    gradient = jax.jit(
        jax.grad(lambda z: jnp.sum(keep_k(z, 2) * jnp.array([1.0, 2.0, 3.0, 4.0])))
    )(z)
    np.testing.assert_array_equal(gradient, [[1.0, 0.0, 3.0, 0.0]])


@pytest.mark.parametrize(
    ("shape", "k"), [((1, 1), 1), ((7, 33), 5), ((64, 128), 1.8), ((3, 5, 9), 0.4)]
)
def test_batch_selection_counts_exactly_and_equals_a_sort(shape, k):
    z = np.random.default_rng(0).gamma(0.3, size=shape).astype(np.float32)
    kept = np.asarray(keep_batch_k(jnp.asarray(z), k))
    count = round(k * np.prod(shape[:-1]))
    last = np.sort(z, axis=None)[-count]
    np.testing.assert_array_equal(kept, np.where(z >= last, z, 0))
    assert (kept > 0).sum() == count


@pytest.mark.parametrize("width", [4_095, 4_096, 8_192, 4_099])
def test_rows_wider_than_two_counts_in_a_float(width):
    """Powers of two are cut in parts, and a prime is counted entry by entry."""
    z = np.random.default_rng(2).gamma(0.3, size=(3, width)).astype(np.float32)
    for k in (width - 1, 5):
        last = np.partition(z, -k, axis=1)[:, [-k]]
        np.testing.assert_array_equal(keep_k(jnp.asarray(z), k), np.where(z >= last, z, 0))
    count = 2 * width + 1
    last = np.sort(z, axis=None)[-count]
    found = keep_batch_k(jnp.asarray(z), count / 3)
    np.testing.assert_array_equal(found, np.where(z >= last, z, 0))


def batch_passes(z, k):
    """How many entries stay, and that the search came to an end."""
    return int((keep_batch_k(jnp.asarray(z, jnp.float32), k) > 0).sum())


def test_batch_selection_on_hard_distributions():
    """Two far modes, values of every scale, one giant, nearly equal values."""
    rng = np.random.default_rng(1)
    modes = np.where(rng.random((40, 50)) < 0.1, 1e6 + rng.random((40, 50)) * 1e5, 1e-6)
    scales = np.float32(10.0) ** rng.uniform(-30, 38, (40, 50))
    giant = rng.random((40, 50)) * 1e-3
    giant[3, 4] = 1e30
    near = 1 + np.arange(2_000).reshape(40, 50) * 2.0**-23
    for z in (scales, giant, near):
        for count in (1, 2, 77, 1_000, 1_999):
            assert batch_passes(z, count / 40) == count
    positive = int((modes > 1).sum())
    assert batch_passes(modes, positive / 40) == positive
    # One more than the upper mode has: all of the lower mode ties with the first of it.
    assert batch_passes(modes, (positive + 1) / 40) == 2_000


def test_batch_selection_at_its_edges():
    z = jnp.array([[0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    assert batch_kth_largest(z, 2) == 0
    np.testing.assert_array_equal(keep_batch_k(z, 2), z)
    np.testing.assert_array_equal(keep_batch_k(z * 0, 1), 0 * z)
    ties = jnp.array([[2.0, 1.0, 1.0], [1.0, 0.5, 0.0]])
    np.testing.assert_array_equal(keep_batch_k(ties, 1), [[2.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    for bad in (jnp.nan, jnp.inf):
        keep_batch_k(z.at[0, 0].set(bad), 0.5).block_until_ready()  # comes to an end


def test_batch_k_can_be_swept_by_vmap():
    z = jnp.asarray(np.random.default_rng(0).random((64, 20), np.float32))
    ks = jnp.array([0.25, 1.5, 20])
    kept = jax.jit(jax.vmap(keep_batch_k, in_axes=(None, 0)))(z, ks)
    np.testing.assert_array_equal((kept > 0).sum((1, 2)), [16, 96, 1280])


def test_batch_gradient_flows_through_the_kept_entries_only():
    z = jnp.array([[5.0, 1.0], [4.0, 2.0]])
    weights = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    gradient = jax.jit(jax.grad(lambda z: jnp.sum(keep_batch_k(z, 1) * weights)))(z)
    np.testing.assert_array_equal(gradient, [[1.0, 0.0], [3.0, 0.0]])


def test_signed_selection_is_by_magnitude():
    z = jnp.array([[5.0, -6.0, 0.5, -1.0]])
    np.testing.assert_array_equal(keep_k_signed(z, 2), [[5.0, -6.0, 0.0, 0.0]])
    np.testing.assert_array_equal(keep_k_signed(z[None], 3), [[[5.0, -6.0, 0.0, -1.0]]])


def test_k_falls_linearly():
    found = [float(annealed(step, 2, 10, 4)) for step in range(6)]
    assert found == [10, 8, 6, 4, 2, 2]
    assert float(annealed(0, 3, 0, 1)) == 3
