"""AbsTopK: signed codes by hand, and features that come with both signs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, magnitude, random
from toymodels import testing
from toymodels.sae import Params, abstopk, training
from toymodels.sae.abstopk import AbsTopK
from toymodels.scores import geometry


def test_conformance():
    testing.check(AbsTopK(12, k=3), random.key(0))


def test_by_hand():
    """x - b_dec = (2, -3): pre-activations 2, -1.5, -4; of k = 2 the second goes."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    params = Params(W_dec.T, jnp.array([0.0, 0.5, -1.0]), W_dec, jnp.array([1.0, 0.0]))
    dictionary, x = AbsTopK(3, k=2, aux=0.0), jnp.array([[3.0, -3.0]])
    np.testing.assert_array_equal(dictionary.encode(params, x), [[2.0, 0.0, -4.0]])
    value, outcome = dictionary.loss(params, x, jnp.array([5, 6, 7]), jnp.int32(0))
    assert value == 1.0  # x_hat = (1 + 2, -4)
    assert outcome.metrics["l0"] == 2
    np.testing.assert_array_equal(outcome.memory, [0, 7, 0])


def test_one_latent_stands_for_both_signs_of_a_feature():
    rows = directions.orthogonal(random.key(1), 8, 8)
    law = firing.Independent(firing.constant(8, 1 / 8))
    world = SparseFeatures(rows, law, magnitude.Signed(magnitude.Uniform(0.5, 1.0)))
    dictionary = AbsTopK(8, k=1)
    params = training.fit(random.key(2), dictionary, world, 1_500, 256).params
    cosine = geometry.cosines(params.W_dec, world.directions, absolute=True)
    assert geometry.mcc_dec(cosine) == pytest.approx(1, abs=0.01)


def test_turned_latents_write_the_same():
    dictionary = AbsTopK(6, k=2)
    params = dictionary.init(random.key(7), 4)
    params = params._replace(b_enc=jnp.linspace(-0.3, 0.2, 6))
    x = jax.random.normal(random.key(8), (50, 4))
    over = jnp.array([True, False, True, True, False, False])
    turned = abstopk.turned(params, over)
    z, back = dictionary.encode(params, x), dictionary.encode(turned, x)
    np.testing.assert_array_equal(back, z * np.where(over, -1, 1))
    written = dictionary.decode(params, z)
    np.testing.assert_allclose(dictionary.decode(turned, back), written, atol=1e-6)
