import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, random


@pytest.fixture(scope="session")
def fitted():
    """Fits a method, compiled: (method, key, x) -> params."""
    return jax.jit(lambda method, key, x: method.fit(key, x))


class Planted:
    """2,000 samples: sums of 3 of 20 atoms in 12 dimensions, values in [0.5, 1.5]."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.atoms = np.asarray(directions.random(random.key(1), 20, 12))
        on = rng.random((2_000, 20)).argsort(axis=1) < 3
        self.codes = np.where(on, rng.uniform(0.5, 1.5, on.shape), 0).astype(np.float32)
        self.x = jnp.asarray(self.codes @ self.atoms)


@pytest.fixture(scope="session")
def planted() -> Planted:
    return Planted()
