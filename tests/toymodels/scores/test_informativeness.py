"""Informativeness where it is known in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, firing, magnitude, random
from toymodels.scores.informativeness import informativeness

N = 6
PROBABILITY = jnp.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.fixture(scope="module")
def world():
    """x is the features themselves."""
    return SparseFeatures(
        directions=jnp.eye(N),
        firing=firing.Independent(PROBABILITY),
        magnitude=magnitude.Uniform(0.0, 1.0),
    )


def mixed(x):
    """An invertible linear map with an offset."""
    return x @ (jnp.eye(N) + jnp.triu(jnp.ones((N, N)))) + 3


def test_any_invertible_linear_map_tells_everything(world):
    assert informativeness(mixed, world, random.key(0)) == pytest.approx(1, abs=1e-9)


def test_a_constant_tells_nothing(world):
    r2 = informativeness(lambda x: jnp.ones((len(x), 2)), world, random.key(1))
    assert (np.abs(r2) < 2e-3).all()
    assert (r2 <= 0).all()  # R^2 of another sample's mean


def test_presence_alone_tells_the_share_of_variance_between_absent_and_present(world):
    r2 = informativeness(lambda x: (x > 0).astype(jnp.float32), world, random.key(2))
    p = np.asarray(PROBABILITY, float)
    within, between = p / 12, p * (1 - p) / 4
    # 8,192 samples to measure on: R^2 of the rarest deviates by about 0.006.
    np.testing.assert_allclose(r2, between / (within + between), atol=0.03)


def test_what_is_left_out_is_missed(world):
    r2 = informativeness(lambda x: x[:, :4], world, random.key(3))
    assert r2[:4] == pytest.approx(1, abs=1e-9)
    assert (np.abs(r2[4:]) < 5e-3).all()


def test_refuses_fewer_samples_than_coefficients(world):
    with pytest.raises(ValueError, match="n_samples is 12, expected"):
        informativeness(mixed, world, random.key(0), n_samples=12)
