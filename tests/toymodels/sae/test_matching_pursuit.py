"""The matching pursuit dictionary: by hand, conformance, recovery."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import FrozenDecoder, training
from toymodels.sae.matching_pursuit import MatchingPursuit, PursuitParams
from toymodels.scores import geometry


@pytest.mark.parametrize(
    "dictionary", [MatchingPursuit(12, k=3), FrozenDecoder(MatchingPursuit(12))], ids=repr
)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0))


def test_by_hand():
    """x - b_dec = (2, 2). The first step takes 2.8 of (0.6, 0.8) and leaves (0.32, -0.24);
    the second takes 0.32 of (1, 0) and leaves (0, -0.24), to which nothing is positive.
    """
    W_dec = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    params = PursuitParams(W_dec, jnp.array([1.0, 0.0]))
    x = jnp.array([[3.0, 2.0]])
    dictionary = MatchingPursuit(3, k=3)
    z = dictionary.encode(params, x)
    np.testing.assert_allclose(z, [[0.32, 2.8, 0]], atol=1e-6)
    np.testing.assert_allclose(dictionary.decode(params, z), [[3, 2.24]], atol=1e-6)
    value, outcome = dictionary.loss(params, x, (), jnp.int32(0))
    assert float(value) == pytest.approx(0.24**2, abs=1e-6)
    assert float(outcome.metrics["l0"]) == 2


def test_gradients_against_finite_differences():
    dictionary = MatchingPursuit(6, k=3)
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )

        def loss(params):
            return dictionary.loss(params, x, (), jnp.int32(0))[0]

        check_grads(loss, (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


@pytest.fixture(scope="module")
def trained(easy_world):
    """Fitted with two steps a sample to features of which one is present on average."""
    dictionary = MatchingPursuit(8, k=2)
    return training.fit_dictionary(random.key(1), dictionary, easy_world, 2_000, 256)[0]


def test_recovers_an_easy_world(trained, easy_world):
    cosine = geometry.cosines(trained.W_dec, easy_world.directions)
    assert geometry.mcc_dec(cosine) > 0.99


def test_rows_have_unit_length_after_training(trained):
    # A float32 root and division: two roundings.
    np.testing.assert_allclose(jnp.linalg.norm(trained.W_dec, axis=1), 1.0, rtol=3e-7)


@pytest.mark.parametrize("k", [0, 9])
def test_bad_settings_are_refused(k):
    with pytest.raises(ValueError, match=rf"k is {k}, expected a number in \[1, 8\]"):
        MatchingPursuit(8, k=k)


def test_bad_data_is_refused():
    params = MatchingPursuit(3, k=1).init(random.key(2), 2)
    with pytest.raises(ValueError, match=r"x has shape \(4, 3\), expected \[\.\.\., 2\]"):
        MatchingPursuit(3, k=1).encode(params, np.ones((4, 3)))
