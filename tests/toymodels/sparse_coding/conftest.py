import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, random


class Samples:
    """40 samples of 1 to 3 of 12 features in 16 dimensions."""

    def __init__(self, signed: bool):
        rng = np.random.default_rng(3)
        self.atoms = directions.random(random.key(3), 12, 16)
        self.count = rng.integers(1, 4, 40)
        order = rng.random((40, 12)).argsort(axis=1)
        self.support = order < self.count[:, None]
        values = rng.uniform(0.5, 2, (40, 12)) * (rng.choice([-1, 1], (40, 12)) ** signed)
        self.codes = np.where(self.support, values, 0)
        self.x = jnp.asarray(self.codes @ np.asarray(self.atoms, float), jnp.float32)


@pytest.fixture(scope="session")
def signed() -> Samples:
    """Sparse sums of known atoms with codes of either sign."""
    return Samples(signed=True)


@pytest.fixture(scope="session")
def nonnegative() -> Samples:
    """Sparse sums of known atoms with non-negative codes."""
    return Samples(signed=False)
