"""Matryoshka with L1: by hand, and the balance of hedging and absorption."""

from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from synthetic import random
from toymodels import testing
from toymodels.sae import Params, training
from toymodels.sae.matryoshka_relu import MatryoshkaReLU


def test_conformance():
    testing.check(MatryoshkaReLU(12, (3, 12), (0.3, 1.0)), random.key(0))


def test_recovers_an_easy_world(easy_world):
    """The inner level weighs little, or its latents would take two features each."""
    dictionary = MatryoshkaReLU(8, (3, 8), (0.05, 1.0), sparsity=0.1)
    testing.check_recovers(dictionary, easy_world, random.key(1), 0.99)


def test_by_hand():
    """x - b_dec = (2, 3): z = (2, 0, 2), the rows of length 1, 1 and 2."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    W_enc = jnp.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    params = Params(W_enc, jnp.array([0.0, 0.5, -1.0]), W_dec, jnp.array([1.0, 0.0]))
    x = jnp.array([[3.0, 3.0]])
    dictionary = MatryoshkaReLU(3, (1, 3), (0.5, 2.0), sparsity=0.25)
    np.testing.assert_array_equal(dictionary.encode(params, x), [[2.0, 0.0, 2.0]])
    value, outcome = dictionary.loss(params, x, (), jnp.int32(0))
    # x_hat is (3, 0) after one latent and (3, 4) after all; the penalty is 2 + 2 * 2.
    assert value == 0.5 * 9 + 2.0 * 1 + 0.25 * 6
    assert outcome.metrics == {"squared_error": 1.0, "l0": 2.0}


def parent_and_children():
    """All samples of a parent (0.25) and three children (0.15 each, given the parent).

    The features are axes with value 1, so 9 patterns and their frequencies are the whole
    world: multiples of 1 / 32,000.
    """
    rows, counts = [np.zeros((1, 4))], [24_000]
    for children in product((0, 1), repeat=3):
        rows.append([[1, *children]])
        counts.append(round(8_000 * np.prod([0.15 if c else 0.85 for c in children])))
    assert sum(counts) == 32_000
    return jnp.asarray(np.repeat(np.concatenate(rows), counts, axis=0), jnp.float32)


def fitted(dictionary, x, steps=1_000):
    """Adam on the whole world, from the truth."""
    optimizer = training.adam(1e-2, steps)
    truth = Params(jnp.eye(4), jnp.zeros(4), jnp.eye(4), jnp.zeros(4))

    def step(i, carry):
        params, opt = carry
        grads = jax.jit(jax.grad(lambda p: dictionary.loss(p, x, (), i)[0]))(params)
        updates, opt = optimizer.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt

    return lax.fori_loop(0, steps, step, (truth, optimizer.init(truth)))[0]


@pytest.fixture(scope="module")
def balances():
    """Weights of the inner level 0, 0.25 and 1, and the detached form."""
    x = parent_and_children()
    dictionary = MatryoshkaReLU(4, (1, 4), (0.0, 1.0), sparsity=0.03)
    members = [replace(dictionary, weights=(beta, 1.0)) for beta in (0.0, 0.25, 1.0)]
    free = jax.jit(fitted)
    detached = replace(dictionary, weights=(1.0, 1.0), detach="all")
    return [free(m, x) for m in members] + [free(detached, x)]


def signature(params):
    """Cosines: encoder and decoder of the parent with the children, the children's rows
    with the parent and with themselves.
    """
    rows, columns = (
        np.asarray(W / np.linalg.norm(W, axis=1, keepdims=True))
        for W in (params.W_dec, params.W_enc.T)
    )
    return columns[0, 1:], rows[0, 1:], rows[1:, 0], np.diag(rows)[1:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "encoder", "decoder", "children"),
    [(0, -0.35, 0.0, 0.45), (1, 0.01, 0.045, 0.005), (2, 0.10, 0.10, -0.07)],
)
def test_inner_weight_balances_absorption_and_hedging(
    balances, member, encoder, decoder, children
):
    """The published set-up (arXiv 2505.11756), re-run; cosines within 0.02."""
    found = signature(balances[member])
    for a, b in zip(found, (encoder, decoder, children), strict=False):
        np.testing.assert_allclose(a, b, atol=0.02)


def test_a_detached_inner_level_hedges_as_a_dictionary_of_one(balances):
    """Its row is the top eigenvector of the features' second moments, given the parent.

    (1, a, a, a) with q + q a + 2 q^2 a = (1 + 3 q a) a, so a = 0.170 for q = 0.15. The
    bias and the penalty, which the closed form leaves out, are worth less than 0.02.
    """
    q = 0.15
    a = max(np.roots([3 * q, 1 - q - 2 * q**2, -q]))
    _, decoder, children, _ = signature(balances[3])
    np.testing.assert_allclose(decoder, a / np.sqrt(1 + 3 * a**2), atol=0.02)
    np.testing.assert_allclose(children, -0.09, atol=0.02)
