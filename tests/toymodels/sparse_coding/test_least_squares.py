"""Least squares on a support: exact codes, and SciPy's non-negative solver."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from synthetic import directions, random
from toymodels.sparse_coding.least_squares import nonnegative_least_squares, on_support


def test_on_the_true_support_it_is_exact(signed):
    solve = jax.jit(lambda x, support: on_support(x, signed.atoms, support, 3))
    # Float32 normal equations of three random rows in 16 dimensions.
    np.testing.assert_allclose(solve(signed.x, signed.support), signed.codes, atol=1e-4)


def test_nonnegative_values_against_scipy():
    """30 targets that no non-negative sum of 6 leaning rows in 8 dimensions reaches."""
    rng = np.random.default_rng(0)
    rows = np.asarray(directions.random(random.key(1), 6, 8) + 0.3, float)
    x = rng.normal(size=(30, 8)) + 0.4
    used = np.array([True, True, False, True, True, True])
    expected = np.zeros((30, 6))
    for row, target in zip(expected, x, strict=True):
        row[used] = nnls(rows[used].T, target)[0]
    assert (expected[:, used] == 0).any(axis=1).sum() > 10  # the constraint matters

    with jax.enable_x64(True):
        solve = jax.jit(jax.vmap(nonnegative_least_squares, in_axes=(0, None, None, None)))
        found = solve(jnp.asarray(x), jnp.asarray(rows), used, jnp.zeros(6))
        again = solve(jnp.asarray(x), jnp.asarray(rows), used, jnp.full(6, 3.0))
    # Exact normal equations on the positive values, one correction of the ridge.
    np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_allclose(again, expected, atol=1e-8)
