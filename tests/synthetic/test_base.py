"""Dense features and (index, value) pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Pairs, base, random

to_dense = jax.jit(base.to_dense, static_argnums=1)
to_pairs = jax.jit(base.to_pairs, static_argnums=1)
DENSE = jnp.array([[0.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]])


def test_pairs_by_hand():
    pairs = to_pairs(DENSE, 3)
    np.testing.assert_array_equal(pairs.index, [[1, 3, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(pairs.value, [[2, -1, 0], [0, 0, 0], [5, 0, 0]])


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)])
def test_round_trip(shape):
    key_mask, key_value = jax.random.split(random.key(0))
    mask = jax.random.bernoulli(key_mask, 0.4, shape)
    dense = jnp.where(mask, jax.random.normal(key_value, shape), 0)
    pairs = to_pairs(dense, 7)
    assert pairs.index.shape == pairs.value.shape == shape
    np.testing.assert_array_equal(to_dense(pairs, 7), dense)


def test_more_slots_than_features():
    np.testing.assert_array_equal(to_dense(to_pairs(DENSE, 9), 4), DENSE)


def test_a_row_that_overflows_turns_nan_and_no_other():
    pairs = to_pairs(DENSE, 1)
    np.testing.assert_array_equal(pairs.value, [[np.nan], [0], [5]])
    dense = to_dense(pairs, 4)
    assert np.isnan(dense[0]).any()
    np.testing.assert_array_equal(dense[1:], DENSE[1:])


def test_repeated_indices_add():
    pairs = Pairs(jnp.array([[2, 2, 0]]), jnp.array([[1.0, 0.5, 0.0]]))
    np.testing.assert_array_equal(to_dense(pairs, 3), [[0, 0, 1.5]])
