"""Gated: its identities with ReLU and JumpReLU, what its auxiliary loss may move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import ReLU
from toymodels.sae.base import Params
from toymodels.sae.gated import Gated, GatedParams, as_jumprelu
from toymodels.sae.jumprelu import JumpReLU
from toymodels.sae.penalties import Power


def loss_of(dictionary, params, x):
    return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))


def test_conformance():
    testing.check(Gated(12), random.key(0))


def test_recovers_an_easy_world(easy_world):
    testing.check_recovers(Gated(8), easy_world, random.key(1))


def test_by_hand():
    """x - b_dec = (2, 3). Gates 2, -1.5, 2; magnitudes 2 e^0 + 1, off, 3 e^ln2 - 5."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    params = GatedParams(
        W_enc=W_dec.T,
        r_mag=jnp.array([0.0, 0.0, jnp.log(2.0)]),
        b_gate=jnp.array([0.0, 0.5, -1.0]),
        b_mag=jnp.array([1.0, 9.0, -5.0]),
        W_dec=W_dec,
        b_dec=jnp.array([1.0, 0.0]),
    )
    x = jnp.array([[3.0, 3.0]])
    dictionary = Gated(3, sparsity=0.5, aux=0.0)
    z = dictionary.encode(params, x)
    np.testing.assert_allclose(z, [[3.0, 0.0, 1.0]], rtol=1e-6)
    np.testing.assert_array_equal(dictionary.penalised(params, x), [[2.0, 0.0, 2.0]])
    value, outcome = loss_of(dictionary, params, x)
    # x_hat = (4, 1), off by (1, 2); the gates give (3, 2), off by (0, 1), and sum to 4.
    assert float(value) == pytest.approx(5.0 + 1.0 + 0.5 * 4.0, rel=1e-6)
    assert float(outcome.metrics["squared_error"]) == pytest.approx(5.0, rel=1e-6)
    assert float(outcome.metrics["l0"]) == 2.0


def drawn(n_latents=9, d_model=5):
    """Random weights with unit rows, some gates and magnitudes at odds."""
    keys = jax.random.split(random.key(2), 6)
    params = Gated(n_latents).init(keys[0], d_model)
    return params._replace(
        W_enc=jax.random.normal(keys[1], (d_model, n_latents)),
        r_mag=0.5 * jax.random.normal(keys[2], (n_latents,)),
        b_gate=0.5 * jax.random.normal(keys[3], (n_latents,)),
        b_mag=0.5 * jax.random.normal(keys[4], (n_latents,)),
        b_dec=0.3 * jax.random.normal(keys[5], (d_model,)),
    )


@pytest.fixture
def x():
    return jax.random.normal(random.key(3), (400, 5))


def test_tied_gates_are_a_relu_dictionary(x):
    """b_mag = b_gate and r_mag = 0."""
    params = drawn()
    tied = params._replace(r_mag=0 * params.r_mag, b_mag=params.b_gate)
    relu = Params(tied.W_enc, tied.b_gate, tied.W_dec, tied.b_dec)
    z = Gated(9).encode(tied, x)
    # Two orders of adding the same float32 numbers.
    np.testing.assert_allclose(z, ReLU(9).encode(relu, x), atol=1e-6)
    # Then both reconstructions are the same: twice the error and the penalty.
    error = float(loss_of(ReLU(9, sparsity=0.0), relu, x)[0])
    penalty = float(z.sum(-1).mean())
    found = float(loss_of(Gated(9, sparsity=0.3), tied, x)[0])
    assert found == pytest.approx(2 * error + 0.3 * penalty, rel=1e-5)


def test_tied_magnitudes_are_a_jumprelu_dictionary(x):
    """theta = b_mag - exp(r_mag) b_gate on the magnitude's pre-activation."""
    params = drawn()
    jumprelu = as_jumprelu(params)
    theta = params.b_mag - np.exp(params.r_mag) * params.b_gate
    assert (theta > 0).any()
    assert (theta < 0).any()  # there the magnitude's own relu decides
    np.testing.assert_allclose(jumprelu.threshold, np.maximum(theta, 0), rtol=1e-6)
    found = np.asarray(JumpReLU(9).encode(jumprelu, x))
    expected = np.asarray(Gated(9).encode(params, x))
    assert (expected != 0).any(0).all()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_gates_loss_leaves_the_decoder_alone(x):
    """W_dec learns from the reconstruction only, whatever the gates say."""
    params = drawn()
    dictionary = Gated(9, sparsity=0.4, aux=0.0)
    total = jax.jit(jax.grad(lambda p: loss_of(dictionary, p, x)[0]))(params)
    alone = jax.jit(
        jax.grad(lambda p: loss_of(dictionary, p, x)[1].metrics["squared_error"])
    )(params)
    np.testing.assert_allclose(total.W_dec, alone.W_dec, rtol=1e-5, atol=1e-6)
    # b_dec is also subtracted before the gates; blind gates show what is left.
    blind = params._replace(W_enc=0 * params.W_enc)
    total = jax.jit(jax.grad(lambda p: loss_of(dictionary, p, x)[0]))(blind)
    alone = jax.jit(
        jax.grad(lambda p: loss_of(dictionary, p, x)[1].metrics["squared_error"])
    )(blind)
    np.testing.assert_allclose(total.b_dec, alone.b_dec, rtol=1e-5, atol=1e-6)
    # And the gates do learn from it.
    assert float(jnp.abs(total.b_gate).max()) > 0.1
    np.testing.assert_array_equal(alone.b_gate, 0)


def test_magnitudes_pay_no_penalty(x):
    """Their gradients are those of the error alone: nothing shrinks them."""
    params = drawn()

    def gradients(sparsity):
        dictionary = Gated(9, sparsity=sparsity, aux=0.0)
        return jax.jit(jax.grad(lambda p: loss_of(dictionary, p, x)[0]))(params)

    free, paying = gradients(0.0), gradients(5.0)
    np.testing.assert_array_equal(free.b_mag, paying.b_mag)
    np.testing.assert_array_equal(free.r_mag, paying.r_mag)
    assert float(jnp.abs(free.b_gate - paying.b_gate).min()) > 0.1


def test_gradients_against_finite_differences():
    """Of all weights that no stop-gradient cuts off from a part of the loss."""
    dictionary = Gated(6, sparsity=0.3, penalty=Power(0.6, 0.1), aux=0.0)
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(lambda leaf: leaf.astype(float), drawn(6, 4))

        def loss(W_enc, r_mag, b_gate, b_mag):
            moved = params._replace(W_enc=W_enc, r_mag=r_mag, b_gate=b_gate, b_mag=b_mag)
            return loss_of(dictionary, moved, x)[0]

        check_grads(jax.jit(loss), params[:4], order=1, modes="rev", atol=1e-6, rtol=1e-6)


def test_dead_latents_come_back_through_their_gates():
    params = drawn()
    x = jax.random.normal(random.key(4), (64, 5))
    dead = jnp.arange(9) == 4
    dictionary = Gated(9, dead_after=10, aux=1.0)

    def gradient(weight, memory):
        def loss(params):
            return dictionary.replace(aux=weight).loss(params, x, memory, jnp.int32(0))[0]

        return jax.jit(jax.grad(loss))(params)

    memory = jnp.where(dead, 11, 0)
    with_aux, without = gradient(1.0, memory), gradient(0.0, memory)
    moved = np.abs(with_aux.W_enc - without.W_enc).max(0)
    assert moved[4] > 0
    np.testing.assert_array_equal(np.delete(moved, 4), 0)
