"""ReLU with free norms: its penalty by hand, its invariance, what it finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae.april import ReLUApril, lengths
from toymodels.sae.base import Params


def loss_of(dictionary, params, x, step=10**6):
    return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(step))[0]


def test_conformance():
    testing.check(ReLUApril(12), random.key(0))


def test_recovers_an_easy_world(easy_world):
    testing.check_recovers(ReLUApril(8), easy_world, random.key(1))


@pytest.fixture
def by_hand():
    """Two dimensions, three latents; rows of lengths 5, 1, 2."""
    W_dec = jnp.array([[3.0, 4.0], [-1.0, 0.0], [0.0, 2.0]])
    W_enc = jnp.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    return Params(W_enc, jnp.array([0.0, 0.5, -1.0]), W_dec, jnp.array([1.0, 0.5]))


@pytest.mark.parametrize("pre_bias", [0.0, 1.0])
def test_by_hand(by_hand, pre_bias):
    """x = (2, 3): z = (2, 0, 2) without the pre-bias, (1, 0, 1.5) with it."""
    x = jnp.array([[2.0, 3.0]])
    dictionary = ReLUApril(3, sparsity=0.5, warmup_steps=10, pre_bias=pre_bias)
    z = [[2.0, 0, 2.0]] if pre_bias == 0 else [[1.0, 0, 1.5]]
    np.testing.assert_array_equal(dictionary.encode(by_hand, x), z)
    # x_hat = (6, 12) + b_dec or (3, 7) + b_dec; the penalty is 5 z_1 + 2 z_3.
    error, penalty = (5**2 + 9.5**2, 14.0) if pre_bias == 0 else (2**2 + 4.5**2, 8.0)
    for step, share in ((0, 0.0), (5, 0.5), (10, 1.0), (200, 1.0)):
        value = loss_of(dictionary, by_hand, x, step)
        assert float(value) == pytest.approx(error + 0.5 * share * penalty, rel=1e-6)


def test_small_codes_and_long_rows_gain_nothing():
    """Halving codes and doubling rows leaves the loss; without norms it would fall."""
    dictionary = ReLUApril(9, sparsity=0.3)
    params = dictionary.init(random.key(2), 5)
    x = jax.random.normal(random.key(3), (64, 5))
    long = params._replace(W_enc=params.W_enc / 2, W_dec=2 * params.W_dec)
    found, expected = loss_of(dictionary, long, x), loss_of(dictionary, params, x)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_gradients_against_finite_differences():
    dictionary = ReLUApril(6, sparsity=0.3, pre_bias=0.5, start_norm=0.8)
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )
        check_grads(
            jax.jit(lambda params: loss_of(dictionary, params, x)),
            (params,),
            order=1,
            modes="rev",
            atol=1e-6,
            rtol=1e-6,
        )


def test_a_row_of_zeros_has_a_finite_gradient():
    rows = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_array_equal(lengths(rows), [0, 5])
    gradient = jax.jit(jax.grad(lambda rows: lengths(rows).sum()))(rows)
    np.testing.assert_allclose(gradient, [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_norms_are_free(easy_world):
    """Rows start at 0.1; nothing holds them at a length."""
    dictionary = ReLUApril(8)
    params = dictionary.init(random.key(4), 8)
    np.testing.assert_allclose(jnp.linalg.norm(params.W_dec, axis=1), 0.1, rtol=1e-6)
    np.testing.assert_array_equal(params.W_enc, params.W_dec.T)
