"""Tilted means: their gradient, their limits, and their place in the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.penalties import tilted_mean


@pytest.mark.parametrize("tilt", [0.5, -2.0])
def test_the_gradient_is_that_of_the_tilted_loss(tilt):
    """(1 / t) log mean exp(t e) at t = tilt / mean(e), that scale held constant."""
    with jax.enable_x64(True):
        errors = jnp.array([0.5, 1.0, 4.0, 0.1])
        t = tilt / errors.mean()
        exact = jax.jit(jax.grad(lambda e: jnp.log(jnp.mean(jnp.exp(t * e))) / t))(errors)
        found = jax.jit(jax.grad(lambda e: tilted_mean(e, tilt)))(errors)
        np.testing.assert_allclose(found, exact, rtol=1e-12)
        assert float(tilted_mean(errors, tilt)) == pytest.approx(float(exact @ errors))


def test_without_tilt_it_is_the_mean():
    errors = jnp.array([0.5, 1.0, 4.0, 0.1])
    assert tilted_mean(errors, 0.0) == jnp.mean(errors)
    np.testing.assert_array_equal(jax.jit(jax.grad(tilted_mean))(errors, 0.0), 0.25)


def test_it_has_no_unit_and_no_error_is_no_trouble():
    errors = jnp.array([0.5, 1.0, 4.0, 0.1])
    scaled = tilted_mean(1e4 * errors, 0.7)
    # A float32 division, an exponential and a sum of four.
    assert float(scaled) == pytest.approx(1e4 * float(tilted_mean(errors, 0.7)), rel=1e-5)
    value, gradient = jax.jit(jax.value_and_grad(tilted_mean))(jnp.zeros(3), 1.0)
    assert value == 0
    np.testing.assert_allclose(gradient, 1 / 3, rtol=1e-6)


def test_every_level_of_a_loss_is_tilted():
    params = BatchTopK(12).init(random.key(0), 6)
    x = jax.random.normal(random.key(1), (24, 6))
    dictionary = Matryoshka(12, (4, 12), (0.5, 2.0), k=2, aux=0.0, tilt=1.5)
    z = np.asarray(dictionary.encode_batch(params, x), float)
    expected = 0.0
    for m, weight in ((4, 0.5), (12, 2.0)):
        x_hat = z[:, :m] @ np.asarray(params.W_dec[:m], float)
        errors = np.square(np.asarray(x) - x_hat).sum(1)
        share = np.exp(1.5 * errors / errors.mean())
        expected += weight * (share * errors).sum() / share.sum()
    memory = dictionary.memory(params)
    value, outcome = dictionary.loss(params, x, memory, jnp.int32(0))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    # What is reported is the plain mean.
    assert float(outcome.metrics["squared_error"]) == pytest.approx(errors.mean(), rel=1e-5)
