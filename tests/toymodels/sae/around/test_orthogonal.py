"""OrtSAE: the penalty by hand, its chunks, and what it does to a dictionary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import base, training
from toymodels.sae.around.orthogonal import OrtSAE, largest_cosines
from toymodels.sae.batchtopk import BatchTopK


def test_conformance():
    testing.check(OrtSAE(BatchTopK(12, k=2.5), n_chunks=2), random.key(0))


def test_recovers_an_easy_world(easy_world):
    dictionary = OrtSAE(BatchTopK(12, k=1.0), n_chunks=3)
    testing.check_recovers(dictionary, easy_world, random.key(1), 0.99)


def test_penalty_by_hand():
    """Cosines 0.6, 0 and -0.8: the largest positive one of each row, squared."""
    W_dec = jnp.array([[2.0, 0.0], [0.6, 0.8], [0.0, -3.0]])
    found = largest_cosines(W_dec, jnp.arange(3), 1)
    assert float(found) == pytest.approx((0.36 + 0.36 + 0) / 3)
    assert float(largest_cosines(jnp.eye(4), jnp.arange(4), 2)) == 0


def test_rows_are_compared_within_their_chunk():
    """Rows 0 and 1 are alike, and 2 and 3; dealt apart, only 60 degrees are left."""
    angle = np.radians([0, 0, 60, 60, 180])
    W_dec = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)
    together = largest_cosines(W_dec, jnp.array([0, 1, 2, 3, 4]), 2)
    apart = largest_cosines(W_dec, jnp.array([0, 2, 3, 1, 4]), 2)
    np.testing.assert_allclose([together, apart], [1, 0.25], rtol=1e-5)


def test_gradients_against_finite_differences():
    with jax.enable_x64(True):
        W_dec = jax.random.normal(jax.random.key(0), (9, 4))
        order = jnp.array([3, 1, 4, 0, 5, 8, 2, 6, 7])
        check_grads(
            jax.jit(lambda W: largest_cosines(W, order, 2)), (W_dec,), 1, "rev", 1e-6, 1e-6
        )


def test_weight_0_is_the_plain_variant():
    params = base.init_tied(random.key(2), 12, 6)
    inner = BatchTopK(12, k=2)
    params = inner.init(random.key(2), 6)
    x = jax.random.normal(random.key(3), (24, 6))
    dictionary = OrtSAE(inner, weight=0.0)
    found, _ = dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))
    assert found == inner.loss(params, x, inner.memory(params), jnp.int32(0))[0]


def test_chunks_are_drawn_anew_and_rows_turn_apart():
    """Twice as many latents as dimensions, on noise, which asks for no direction."""
    optimizer = training.adam(3e-3, 300)
    x = jax.random.normal(random.key(4), (256, 6))

    def end(weight):
        dictionary = OrtSAE(BatchTopK(12, k=3), weight, n_chunks=2)
        state = training.start(random.key(5), dictionary, 6, optimizer)
        return jax.jit(
            lambda state: training.advance(
                random.key(6),
                dictionary,
                state,
                300,
                world=Constant(x),
                optimizer=optimizer,
            )[0]
        )(state)

    plain, pushed = end(0.0), end(3.0)
    assert sorted(pushed.memory[1].tolist()) == list(range(12))
    assert (pushed.memory[1] != jnp.arange(12)).any()
    order = jnp.arange(12)
    before = largest_cosines(plain.params.W_dec, order, 1)
    after = largest_cosines(pushed.params.W_dec, order, 1)
    assert float(after) < 0.5 * float(before)


class Constant:
    """The same samples at every step."""

    def __init__(self, x):
        self.x = x

    def sample(self, key, batch_size):
        return self


def test_chunks_without_pairs_are_refused():
    with pytest.raises(ValueError, match=r"n_chunks is 7, expected .* \[1, 6\]; two rows"):
        OrtSAE(BatchTopK(12), n_chunks=7)
