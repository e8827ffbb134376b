"""Controls that hold a half of the dictionary: what stays, what moves, how far."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import FrozenEncoder, SoftFrozenDecoder, TopK
from toymodels.sae.around.frozen import turned_back
from toymodels.training.loop import State

STEPS = 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "dictionary",
    [FrozenEncoder(TopK(12, k=3)), SoftFrozenDecoder(TopK(12, k=3), cosine=-0.5)],
    ids=["encoder", "soft decoder"],
)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0))


def trained(dictionary, x):
    """Parameters before and after some large steps of Adam."""
    optimizer = optax.adam(0.1)
    params = dictionary.init(random.key(1), x.shape[1])
    state = State(jnp.int32(0), params, optimizer.init(params), dictionary.memory(params))

    @jax.jit
    def step(state, key):
        def loss(params):
            return dictionary.loss(params, x, state.memory, state.step)

        grads, outcome = jax.jit(jax.grad(loss, has_aux=True))(state.params)
        updates, opt = optimizer.update(grads, state.opt, state.params)
        moved = optax.apply_updates(state.params, updates)
        state = replace(state, params=moved, opt=opt, memory=outcome.memory)
        return dictionary.after(key, replace(state, step=state.step + 1), x)

    for key in jax.random.split(random.key(2), STEPS):
        state = step(state, key)
    return params, state.params


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(random.key(3), (40, 6)) ** 3


def test_frozen_encoder_keeps_its_weights_and_learns_the_rest(x):
    before, after = trained(FrozenEncoder(TopK(9, k=2)), x)
    np.testing.assert_array_equal(before.W_enc, after.W_enc)
    for name in ("W_dec", "b_dec", "b_enc"):
        moved = np.abs(getattr(before, name) - getattr(after, name)).max()
        assert moved > 0.05, name


@pytest.mark.parametrize("cosine", [0.8, 0.99])
def test_soft_frozen_rows_stay_near_their_start(x, cosine):
    before, after = trained(SoftFrozenDecoder(TopK(9, k=2), cosine), x)
    found = np.sum(np.asarray(before.W_dec) * np.asarray(after.W_dec), axis=1)
    # Float32 rows of length 1. Free rows turn by far more in thirty steps of 0.1.
    assert found.min() == pytest.approx(cosine, abs=1e-5)
    free = trained(TopK(9, k=2), x)
    assert np.sum(np.asarray(free[0].W_dec) * np.asarray(free[1].W_dec), axis=1).min() < 0.7
    np.testing.assert_allclose(np.linalg.norm(after.W_dec, axis=1), 1, atol=1e-6)


def test_turning_back_by_hand():
    start = jnp.asarray([[1.0, 0], [1, 0], [1, 0], [1, 0]])
    rows = jnp.asarray([[0.0, 2], [3, 0.1], [-1, 0], [0, 0]])
    found = turned_back(rows, start, 0.6)
    # Turned to cosine 0.6 at its length; near enough; opposite: no plane, no turn beyond
    # the start; nothing to turn.
    np.testing.assert_allclose(found, [[1.2, 1.6], [3, 0.1], [0.6, 0], [0, 0]], atol=1e-6)


def test_refuses_a_cosine_that_is_none():
    with pytest.raises(ValueError, match=r"cosine is 2, expected .* \[-1, 1\]; 1 freezes"):
        SoftFrozenDecoder(TopK(9, k=2), 2.0)
