import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from synthetic import SparseFeatures, firing, magnitude, random
from toymodels import superposition

STEP = jnp.int32(0)


def features(key, n_features, density, batch_size):
    law = firing.Independent(firing.constant(n_features, density))
    world = SparseFeatures.of_features(law, magnitude.Uniform(-1, 1))
    return world.sample(key, batch_size).features


def test_loss_by_hand():
    model = superposition.CompressedReLU(2, 1, jnp.array([[0.0, 2.0], [0.0, 0.0]]))
    params = model.init(random.key(1))._replace(
        W_in=jnp.array([[1.0], [-1.0]]), W_out=jnp.array([[1.0, 3.0]])
    )
    x = jnp.array([[0.5, -0.5]])
    # Targets (0.5, 0 + 2 * 0.5); h = 1, answers (1, 3).
    assert_allclose(model.loss(params, x, (), STEP)[0], (0.5**2 + 2**2) / 2, rtol=1e-6)


def test_a_number_mixes_by_that_multiple_of_the_identity():
    x = features(random.key(2), 4, 0.5, 16)
    as_number = superposition.CompressedReLU(4, 2, 0.3).target(x)
    as_matrix = superposition.CompressedReLU(4, 2, 0.3 * jnp.eye(4)).target(x)
    assert_allclose(as_number, as_matrix, rtol=1e-6)


@pytest.mark.parametrize("density", [0.01, 0.5])
def test_naive_loss_is_that_of_the_naive_network(density):
    model = superposition.CompressedReLU(8, 4)
    x = features(random.key(3), 8, density, 1 << 16)
    sampled = model.loss(model.naive(), x, (), STEP)[0]
    expected = superposition.naive_loss(8, 4, density)
    # About 1,300 squared values at density 0.01: an error of 4 %.
    assert_allclose(sampled, expected, rtol=0.12)


def test_half_the_neurons_cost_a_twelfth_of_the_density():
    assert_allclose(superposition.naive_loss(100, 50, 0.01), 0.01 / 12)


def test_mixing_is_a_leaf():
    def loss(mixing):
        model = superposition.CompressedReLU(4, 2, mixing)
        return model.loss(model.naive(), jnp.ones((3, 4)), (), STEP)[0]

    mixings = jnp.stack([jnp.zeros((4, 4)), 0.1 * jnp.eye(4)])
    assert_allclose(jax.vmap(loss)(mixings), [loss(m) for m in mixings], rtol=1e-6)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="n_features is 0"):
        superposition.CompressedReLU(0, 2)
    assert np.all(superposition.CompressedReLU(3, 2).naive().W_in == np.eye(3, 2))
