"""FISTA by its closed form on orthonormal atoms and by its optimality conditions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sparse_coding.fista import fista


@pytest.mark.parametrize("nonnegative", [True, False])
def test_on_orthonormal_atoms_it_is_the_soft_threshold(nonnegative):
    x = jnp.asarray([[2.0, 0.3, -1.0, 0.0]])
    found = jax.jit(lambda x: fista(x, jnp.eye(4), 0.5, 100, nonnegative))(x)
    expected = [[1.5, 0, 0 if nonnegative else -0.5, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_meets_the_optimality_conditions(nonnegative):
    """d_j . (x - a D) is the penalty where a_j > 0 and no more elsewhere."""
    data = nonnegative
    solve = jax.jit(lambda x, p: fista(x, data.atoms, p, 1000))
    found = np.asarray(solve(data.x, 0.1), float)
    atoms = np.asarray(data.atoms, float)
    slope = (np.asarray(data.x, float) - found @ atoms) @ atoms.T
    # After a thousand steps only float32 is left of the error.
    np.testing.assert_allclose(slope[found > 1e-3], 0.1, atol=1e-4)
    assert slope.max() < 0.1 + 1e-4
    # A penalty beyond every correlation leaves nothing on.
    assert not np.any(solve(data.x, 10.0))
