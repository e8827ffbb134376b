"""ISTA: its closed form on orthonormal atoms, its optimality conditions, its descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sparse_coding.fista import fista
from toymodels.sparse_coding.ista import ista, step_size


@pytest.mark.parametrize("nonnegative", [True, False])
def test_on_orthonormal_atoms_it_is_the_soft_threshold(nonnegative):
    x = jnp.asarray([[2.0, 0.3, -1.0, 0.0]])
    found = jax.jit(lambda x: ista(x, jnp.eye(4), 0.5, 100, nonnegative))(x)
    expected = [[1.5, 0, 0 if nonnegative else -0.5, 0]]
    # The step is 5 % short: what is left shrinks by 0.05 a step, down to float32.
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_meets_the_optimality_conditions_and_agrees_with_fista(signed):
    """d_j . (x - a D) is penalty sign(a_j) where a_j is on, and no larger elsewhere."""
    x, atoms = np.asarray(signed.x, float), np.asarray(signed.atoms, float)
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(lambda x: ista(x, atoms, 0.1, 3000, False))(x))
        faster = np.asarray(jax.jit(lambda x: fista(x, atoms, 0.1, 1000, False))(x))
    slope = (x - found @ atoms) @ atoms.T
    on = found != 0
    # The error shrinks by 1 - (least eigenvalue of the Gram matrix) x (step) at each step,
    # here to below 1e-8 after 3,000.
    np.testing.assert_allclose(slope[on], 0.1 * np.sign(found[on]), atol=1e-7)
    assert np.abs(slope).max() < 0.1 + 1e-7
    np.testing.assert_allclose(found, faster, atol=1e-6)


def test_the_objective_falls_at_every_step(nonnegative):
    x, atoms = np.asarray(nonnegative.x, float), np.asarray(nonnegative.atoms, float)
    solve = jax.jit(lambda steps: ista(nonnegative.x, nonnegative.atoms, 0.2, steps))

    def objective(a):
        return 0.5 * np.square(x - a @ atoms).sum() + 0.2 * np.abs(a).sum()

    values = [objective(np.asarray(solve(t), float)) for t in range(0, 40, 4)]
    assert (np.diff(values) < 0).all()


def test_step_size_against_the_largest_singular_value(signed):
    atoms = np.asarray(signed.atoms, float)
    largest = np.linalg.norm(atoms, 2) ** 2
    found = float(step_size(jnp.asarray(atoms @ atoms.T, jnp.float32)))
    # A power iteration from below, then 5 % to spare: never too long, at most 10 % short.
    assert 0.9 / largest < found < 1 / largest
