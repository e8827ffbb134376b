"""MOD: its update is least squares, and it finds a planted dictionary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import MOD, mod
from toymodels.scores import geometry


def test_optimal_directions_against_least_squares():
    rng = np.random.default_rng(0)
    z, x = rng.exponential(size=(50, 4)), rng.normal(size=(50, 6))
    with jax.enable_x64(True):
        found = mod.optimal_directions(jnp.asarray(x), jnp.asarray(z), 0.0)
    np.testing.assert_allclose(found, np.linalg.lstsq(z, x)[0], atol=1e-10)


@pytest.mark.slow
def test_it_finds_a_planted_dictionary(planted, best_fit):
    params = best_fit(MOD(16, k=2, steps=50), random.key(2), planted.x)
    assert geometry.mcc_dec(geometry.cosines(params.W_dec, planted.atoms)) > 0.99
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 1, rtol=3e-7)
    z = MOD(16, k=2).encode(params, planted.x)
    assert ((z >= 0) & ((z > 0).sum(1, keepdims=True) <= 2)).all()


def test_too_many_latents_for_the_samples_are_refused():
    with pytest.raises(ValueError, match="the number of samples is 5"):
        MOD(8).fit(random.key(0), np.ones((5, 3)))
