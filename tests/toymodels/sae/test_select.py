"""The k-th largest value, against NumPy's partition and at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sae.select import keep_k, kth_largest


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
    gradient = jax.grad(lambda z: jnp.sum(keep_k(z, 2) * jnp.array([1.0, 2.0, 3.0, 4.0])))(
        z
    )
    np.testing.assert_array_equal(gradient, [[1.0, 0.0, 3.0, 0.0]])
