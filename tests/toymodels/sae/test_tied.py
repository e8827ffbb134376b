"""The tied dictionary by hand, against its untied form, and what it finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import ReLU
from toymodels.sae.tied import Tied, TiedParams, untied


def loss_of(dictionary, params, x):
    return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))[0]


def test_conformance():
    testing.check(Tied(12), random.key(0))


def test_recovers_an_easy_world(easy_world):
    testing.check_recovers(Tied(8), easy_world, random.key(1))


def test_by_hand():
    """x = (2, 3) against (1, 0), (-1, 0), (0, 1): z = (2, 0, 2), x_hat = (2, 2)."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    params = TiedParams(W_dec, jnp.array([0.0, 0.5, -1.0]))
    x = jnp.array([[2.0, 3.0]])
    dictionary = Tied(3, sparsity=0.5)
    np.testing.assert_array_equal(dictionary.encode(params, x), [[2, 0, 2]])
    np.testing.assert_array_equal(
        dictionary.decode(params, jnp.array([[2.0, 0, 2]])), [[2, 2]]
    )
    assert loss_of(dictionary, params, x) == 1.0 + 0.5 * 4.0


def test_loss_in_numpy_with_the_sources_weight():
    """The source: the mean over batch and dimensions of the squares, alpha |c|_1 summed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)).astype(np.float32)
    M = rng.normal(size=(7, 4)).astype(np.float32)
    b = 0.1 * rng.normal(size=7).astype(np.float32)
    alpha = 0.02
    unit = M / np.linalg.norm(M, axis=1, keepdims=True)
    c = np.maximum(x @ unit.T + b, 0)
    expected = np.mean((x - c @ unit) ** 2) + alpha * c.sum(1).mean()
    found = loss_of(
        Tied(7, sparsity=4 * alpha), TiedParams(jnp.asarray(M), jnp.asarray(b)), x
    )
    assert float(found) / 4 == pytest.approx(expected, rel=1e-5)


def test_untied_it_is_a_relu_dictionary():
    params = Tied(9).init(random.key(2), 5)._replace(b_enc=0.1 * jnp.ones(9))
    x = jax.random.normal(random.key(3), (16, 5))
    z = Tied(9).encode(params, x)
    np.testing.assert_array_equal(z, ReLU(9).encode(untied(params), x))
    np.testing.assert_array_equal(
        Tied(9).decode(params, z), ReLU(9).decode(untied(params), z)
    )
    found = loss_of(Tied(9, sparsity=0.3), params, x)
    expected = loss_of(ReLU(9, sparsity=0.3), untied(params), x)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_gradients_against_finite_differences():
    dictionary = Tied(6, sparsity=0.3)
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
