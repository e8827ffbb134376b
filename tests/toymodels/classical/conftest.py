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
    """2,000 samples: sums of 2 of 16 atoms in 12 dimensions, values in [0.5, 1.5]."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.atoms = np.asarray(directions.random(random.key(1), 16, 12))
        on = rng.random((2_000, 16)).argsort(axis=1) < 2
        self.codes = np.where(on, rng.uniform(0.5, 1.5, on.shape), 0).astype(np.float32)
        self.x = jnp.asarray(self.codes @ self.atoms)


@pytest.fixture(scope="session")
def best_fit():
    """The start of six that ends with the least error: (method, key, x) -> params.

    Alternating methods end in local minima; the data say which of them is the best.
    """

    def best(method, key, x):
        def start(key):
            params = method.fit(key, x)
            x_hat = method.decode(params, method.encode(params, x))
            return params, jnp.mean(jnp.square(x - x_hat))

        params, errors = jax.vmap(start)(jax.random.split(key, 6))
        return jax.tree.map(lambda leaf: leaf[errors.argmin()], params)

    return jax.jit(best)


@pytest.fixture(scope="session")
def planted() -> Planted:
    return Planted()
