"""Matching pursuit against its definition in plain NumPy, and its gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from synthetic import directions, random
from toymodels.sparse_coding.matching_pursuit import matching_pursuit


def plain(x, atoms, k):
    """The definition, sample by sample and residual by residual, in float64."""
    z = np.zeros((len(x), len(atoms)))
    for row, left in zip(z, np.array(x), strict=True):
        for _ in range(k):
            i = int((atoms @ left).argmax())
            size = max(atoms[i] @ left, 0)
            row[i] += size
            left -= size * atoms[i]
    return z


@pytest.fixture(scope="module")
def crowded():
    """20 atoms in 7 dimensions and 50 samples that none of them fits."""
    atoms = np.asarray(directions.random(random.key(5), 20, 7), float)
    return np.random.default_rng(6).normal(size=(50, 7)), atoms


def test_against_the_definition(crowded):
    x, atoms = crowded
    with jax.enable_x64(True):
        # k is traced: one trace for the three.
        pursue = jax.jit(chex.assert_max_traces(lambda *of: matching_pursuit(*of), n=1))
        found = {k: np.asarray(pursue(x, atoms, k)) for k in (1, 3, 20)}
        together = jax.vmap(lambda k: matching_pursuit(x, atoms, k))(jnp.array([1, 3, 20]))
    for k, z in found.items():
        np.testing.assert_allclose(z, plain(x, atoms, k), atol=1e-12)
    np.testing.assert_allclose(together, list(found.values()), atol=1e-12)
    # Twenty steps took fewer than twenty atoms: some were taken twice.
    assert ((found[20] > 0).sum(axis=1) < 20).all()


def test_on_orthonormal_atoms_it_is_the_thresholded_projection():
    atoms = np.asarray(directions.orthogonal(random.key(7), 6, 9))
    x = np.random.default_rng(8).normal(size=(30, 9)).astype(np.float32)
    projected = np.maximum(x @ atoms.T, 0)
    kth = np.sort(projected, axis=1)[:, [-2]]
    expected = np.where(projected >= kth, projected, 0)
    # Float32 products of nine terms of order 1.
    np.testing.assert_allclose(matching_pursuit(x, atoms, 2), expected, atol=2e-6)


def unrolled(x, atoms, k):
    """The same codes by residuals, for JAX to differentiate; choices are constants."""
    left, z = x, jnp.zeros((len(x), len(atoms)))
    row = jnp.arange(len(x))
    for _ in range(k):
        index = lax.stop_gradient(jnp.argmax(left @ atoms.T, axis=1))
        size = jax.nn.relu(jnp.sum(left * atoms[index], axis=1))
        z = z.at[row, index].add(size)
        left = left - size[:, None] * atoms[index]
    return z


@pytest.mark.slow
def test_gradient_against_differentiated_residuals(crowded):
    """20 steps, so that atoms are taken twice and some steps take nothing."""
    with jax.enable_x64(True):
        x, atoms = (jnp.asarray(array) for array in crowded)
        weight = jnp.asarray(np.random.default_rng(9).normal(size=(50, 20)))

        def gradient(pursue):
            def weighted(x, atoms):
                return jnp.sum(weight * jnp.square(pursue(x, atoms, 20)))

            return jax.jit(jax.grad(weighted, argnums=(0, 1)))(x, atoms)

        for found, expected in zip(
            gradient(matching_pursuit), gradient(unrolled), strict=True
        ):
            assert float(jnp.abs(expected).max()) > 1
            np.testing.assert_allclose(found, expected, atol=1e-10)


def test_gradient_against_finite_differences(crowded):
    with jax.enable_x64(True):
        x, atoms = (jnp.asarray(array) for array in crowded)
        check_grads(
            jax.jit(lambda x, atoms: matching_pursuit(x[:8], atoms, 3)),
            (x, atoms),
            order=1,
            modes="rev",
            atol=1e-6,
            rtol=1e-6,
        )


def test_rows_without_a_positive_correlation_stay_empty():
    x = jnp.array([[-1.0, -2.0], [3.0, -1.0]])
    found = matching_pursuit(x, jnp.eye(2), 2)
    np.testing.assert_array_equal(found, [[0, 0], [3, 0]])
    grads = jax.jit(jax.grad(lambda x: matching_pursuit(x, jnp.eye(2), 2).sum()))(x)
    np.testing.assert_array_equal(grads, [[0, 0], [1, 0]])
