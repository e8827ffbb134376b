"""Aligned training: gain 1 in the loss, after each step, and by the least change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import TopK, base, training
from toymodels.sae.around.aligned import Aligned, aligned
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.threshold import calibrate


def test_conformance():
    testing.check(Aligned(BatchTopK(12, k=2.5)), random.key(0))


@pytest.fixture(scope="module")
def trained(easy_world):
    dictionary = Aligned(BatchTopK(12, k=1.0))
    params = training.fit(random.key(1), dictionary, easy_world, 1_500, 256).params
    return dictionary, params


def gains(params):
    return np.sum(np.asarray(params.W_enc).T * np.asarray(params.W_dec), axis=1)


def test_recovers_an_easy_world_with_gain_1(trained, easy_world):
    _, params = trained
    cosines = np.asarray(params.W_dec) @ np.asarray(easy_world.directions).T
    assert cosines.max(0).min() > 0.99
    np.testing.assert_allclose(gains(params), 1, atol=1e-5)


def test_weights_serve_the_inner_variant_as_they_are(trained, easy_world):
    dictionary, params = trained
    x = easy_world.sample(random.key(2), 2_000).x
    exact = calibrate(dictionary.inner, params, x)
    z = dictionary.inner.encode(exact, x)
    np.testing.assert_allclose(dictionary.encode(exact, x), z, atol=1e-5)
    assert float(base.mean_l0(z)) == 1


def test_the_nearest_column_with_gain_1():
    params = base.init_tied(random.key(3), 12, 6)
    skewed = params._replace(W_enc=params.W_enc + 0.3, W_dec=1.5 * params.W_dec)
    moved = aligned(skewed)
    np.testing.assert_allclose(gains(moved), 1, rtol=1e-5)
    # Nearest: the change has no part across the row.
    change, rows = np.asarray(moved.W_enc - skewed.W_enc).T, np.asarray(skewed.W_dec)
    along = (change * rows).sum(1) / (rows**2).sum(1)
    np.testing.assert_allclose(change, along[:, None] * rows, atol=1e-5)
    np.testing.assert_allclose(aligned(moved).W_enc, moved.W_enc, atol=1e-6)


def test_no_gradient_can_change_a_gain():
    params = aligned(base.init_tied(random.key(4), 12, 6)._replace(W_enc=jnp.ones((6, 12))))
    x = jax.random.normal(random.key(5), (24, 6))
    dictionary = Aligned(TopK(12, k=3))
    memory = dictionary.memory(params)
    grads = jax.jit(jax.grad(lambda p: dictionary.loss(p, x, memory, jnp.int32(0))[0]))(
        params
    )
    along = np.sum(np.asarray(grads.W_enc).T * np.asarray(params.W_dec), axis=1)
    # Zero up to the rounding of the sums that cancel.
    assert np.abs(along).max() < 1e-5 * np.abs(grads.W_enc).max()


def test_gradients_against_finite_differences():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        dictionary = Aligned(TopK(6, k=2, aux=0.0))
        params = jax.tree.map(
            lambda leaf: 1.2 * leaf.astype(float), base.init_tied(jax.random.key(1), 6, 4)
        )
        memory = dictionary.memory(params)

        def loss(params):
            return dictionary.loss(params, x, memory, jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


def test_after_aligns_what_the_optimizer_moved():
    dictionary = Aligned(TopK(12, k=3))
    state = training.start(random.key(6), dictionary, 6, optax.adam(1e-3))
    params = state.params._replace(W_enc=state.params.W_enc + 0.2, W_dec=jnp.ones((12, 6)))
    x = jnp.ones((4, 6))
    moved = dictionary.after(random.key(7), state.replace(params=params), x)
    np.testing.assert_allclose(gains(moved.params), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(moved.params.W_dec, axis=1), 1, rtol=1e-6)
