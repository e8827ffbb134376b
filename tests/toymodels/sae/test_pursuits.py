"""Dictionaries by matching pursuit and by OMP: by hand, conformance, recovery."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import FrozenDecoder, training
from toymodels.sae.matching_pursuit import MatchingPursuit, PursuitParams
from toymodels.sae.orthogonal_matching_pursuit import OMP
from toymodels.scores import geometry


@pytest.mark.parametrize(
    "dictionary",
    [MatchingPursuit(12, k=3), FrozenDecoder(MatchingPursuit(12)), OMP(12, k=2, most=3)],
    ids=repr,
)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0))


@pytest.fixture
def by_hand():
    """x - b_dec = (2, 2); the second row leans on the two others."""
    W_dec = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    return PursuitParams(W_dec, jnp.array([1.0, 0.0])), jnp.array([[3.0, 2.0]])


def test_matching_pursuit_by_hand(by_hand):
    """The first step takes 2.8 of (0.6, 0.8) and leaves (0.32, -0.24); the second takes
    0.32 of (1, 0) and leaves (0, -0.24), with which no row has a positive product.
    """
    params, x = by_hand
    dictionary = MatchingPursuit(3, k=3)
    z = dictionary.encode(params, x)
    np.testing.assert_allclose(z, [[0.32, 2.8, 0]], atol=1e-6)
    np.testing.assert_allclose(dictionary.decode(params, z), [[3, 2.24]], atol=1e-6)
    value, outcome = dictionary.loss(params, x, (), jnp.int32(0))
    assert float(value) == pytest.approx(0.24**2, abs=1e-6)
    assert float(outcome.metrics["l0"]) == 2


def test_omp_by_hand(by_hand):
    """(2, 2) = 0.5 (1, 0) + 2.5 (0.6, 0.8): the second step refits the first."""
    params, x = by_hand
    for k, expected in {1: [0, 2.8, 0], 2: [0.5, 2.5, 0]}.items():
        z = OMP(3, k=k).encode(params, x)
        # Float32, and the correction of a ridge of 1e-5.
        np.testing.assert_allclose(z, [expected], atol=1e-5)


@pytest.mark.parametrize("dictionary", [MatchingPursuit(6, k=3), OMP(6, k=2)], ids=repr)
def test_gradients_against_finite_differences(dictionary):
    """Those of OMP hold its codes constant; the differences solve for them anew."""
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )

        @jax.jit
        def loss(params):
            return dictionary.loss(params, x, (), jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module", params=[MatchingPursuit(8, k=2), OMP(8, k=2)], ids=repr)
def seeds(request, easy_world):
    """Rows [seed, latent, d_model] of seven runs, two steps a sample."""
    optimizer = training.adam(3e-3, 1_000)

    @jax.jit
    @jax.vmap
    def train(key):
        key_init, key_data = jax.random.split(key)
        state = training.start(key_init, request.param, 8, optimizer)
        state, _ = training.advance(
            key_data,
            request.param,
            state,
            1_000,
            world=easy_world,
            optimizer=optimizer,
            batch_size=128,
        )
        return state.params.W_dec

    return np.asarray(train(jax.random.split(random.key(1), 7)))


@pytest.mark.slow
def test_most_seeds_recover_an_easy_world(seeds, easy_world):
    """About one in six settles on a feature's opposite, which the bias makes up for."""
    reached = [
        geometry.mcc_dec(geometry.cosines(rows, easy_world.directions)) for rows in seeds
    ]
    assert np.median(reached) > 0.99


def test_rows_have_unit_length_after_training(seeds):
    # A float32 root and division: two roundings.
    np.testing.assert_allclose(np.linalg.norm(seeds, axis=2), 1.0, rtol=3e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MatchingPursuit(8, k=0), r"k is 0, expected a number in \[1, 8\]"),
        (lambda: MatchingPursuit(8, k=9), r"k is 9, expected a number in \[1, 8\]"),
        (lambda: OMP(8, k=5, most=4), r"k is 5, expected a number in \[1, 4\].*`most`"),
        (lambda: OMP(0), "n_latents is 0"),
        (lambda: MatchingPursuit(8, k=2.0), r"k is 2.0 .* expected a whole"),
        (lambda: OMP(8, k=2.5), r"k is 2.5 .* expected a whole"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dictionary", [MatchingPursuit(3, k=1), OMP(3, k=1)], ids=repr)
def test_bad_data_is_refused(dictionary, by_hand):
    with pytest.raises(ValueError, match=r"x has shape \(4, 3\), expected \[\.\.\., 2\]"):
        dictionary.encode(by_hand[0], np.ones((4, 3)))
