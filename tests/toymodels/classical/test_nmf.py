"""NMF: its updates never raise the error, and separable parts are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import NMF, nmf
from toymodels.scores import geometry


@pytest.fixture(scope="module")
def parts():
    """4 parts in 10 dimensions and 400 mixtures of them, 10 of these pure."""
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(4, 10)) * (rng.random((4, 10)) < 0.6)
    z = rng.exponential(size=(400, 4)) * (rng.random((400, 4)) < 0.5)
    z[:10] = np.eye(4)[rng.integers(0, 4, 10)]
    return rows, z @ rows


def test_updates_against_the_formula_and_never_raise_the_error(parts):
    x = parts[1]
    with jax.enable_x64(True):
        z, W = nmf.start(random.key(0), jnp.asarray(x), 3)
        update = jax.jit(nmf.update)
        errors = [float(jnp.sum(jnp.square(x - z @ W)))]
        first = update(jnp.asarray(x), z, W)
        z_1 = np.asarray(z) * (x @ np.asarray(W).T) / (np.asarray(z @ W) @ np.asarray(W).T)
        W_1 = np.asarray(W) * (z_1.T @ x) / (z_1.T @ (z_1 @ np.asarray(W)))
        np.testing.assert_allclose(first[0], z_1, rtol=1e-9)
        np.testing.assert_allclose(first[1], W_1, rtol=1e-9)
        for _ in range(30):
            z, W = update(jnp.asarray(x), z, W)
            errors.append(float(jnp.sum(jnp.square(x - z @ W))))
    assert (np.diff(errors) < 0).all()


def test_it_finds_separable_parts(parts, fitted):
    rows, x = parts
    x = jnp.asarray(x, jnp.float32)
    params = fitted(NMF(4, steps=3_000), random.key(1), x)
    assert (np.asarray(params.W_dec) >= 0).all()
    assert geometry.mcc_dec(geometry.cosines(params.W_dec, rows)) > 0.99
    z = NMF(4).encode(params, x)
    assert float(z.min()) >= 0
    left = jnp.square(x - NMF(4).decode(params, z)).mean() / jnp.var(x)
    assert left < 1e-3


def test_negative_data_is_refused():
    with pytest.raises(ValueError, match=r"x holds -0\.5, expected no negative number"):
        NMF(1).fit(random.key(0), np.array([[1.0, -0.5], [1.0, 2.0]]))
