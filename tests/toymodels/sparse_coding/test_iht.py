"""Iterative hard thresholding: exact cases, and its error never rises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sparse_coding.iht import iht


@pytest.mark.parametrize("nonnegative", [True, False])
def test_on_orthonormal_atoms_it_keeps_the_largest_projections(nonnegative):
    x = jnp.asarray([[2.0, 0.3, -1.0, 0.1], [-3.0, -2.0, -1.0, -4.0]])
    found = jax.jit(lambda k: iht(x, jnp.eye(4), k, 100, nonnegative))(2)
    expected = [[2, 0.3, 0, 0], [0, 0, 0, 0]]
    if not nonnegative:
        expected = [[2, 0, -1, 0], [-3, 0, 0, -4]]
    # The step is 5 % short: what is left shrinks by 0.05 a step, down to float32.
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_finds_sparse_codes_on_spread_atoms(signed):
    """All 12 atoms in 16 dimensions: with k = 12 it is least squares, which is unique."""
    atoms = np.asarray(signed.atoms, float)
    x = signed.codes @ atoms
    with jax.enable_x64(True):
        solve = jax.jit(lambda k, t: iht(x, atoms, k, t, False))
        everything = np.asarray(solve(12, 3000))
        steps = {t: np.asarray(solve(3, t)) for t in (*range(0, 40, 4), 3000)}
    np.testing.assert_allclose(everything, signed.codes, atol=1e-6)
    found = steps[3000]
    # Where one atom explains all, the rest is rounding, and may tie.
    assert ((np.abs(found) > 1e-12).sum(axis=1) <= 3).all()
    error = [np.square(x - a @ atoms).sum() for a in steps.values()]
    assert (np.diff(error) < 0).all()
    # A local minimum: on its support nothing is left to gain.
    slope = (x - found @ atoms) @ atoms.T
    np.testing.assert_allclose(slope[found != 0], 0, atol=1e-6)
