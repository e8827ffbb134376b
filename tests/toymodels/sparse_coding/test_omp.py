"""Orthogonal matching pursuit: exact cases, and a plain version of the non-negative one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from synthetic import directions, random
from toymodels.sparse_coding.omp import nonnegative_omp, omp


@pytest.mark.parametrize("sign", ["signed", "nonnegative"])
def test_it_is_exact_on_orthonormal_atoms(sign, request):
    data = request.getfixturevalue(sign)
    codes = data.codes.astype(np.float32)
    pursue = jax.jit(lambda x, n: omp(x, jnp.eye(12), n, 3, sign == "nonnegative"))
    np.testing.assert_allclose(pursue(codes, data.count), codes, atol=1e-6)
    # With atoms to spare it stops when nothing is left.
    found = pursue(codes, np.full(40, 3))
    np.testing.assert_allclose(found, codes, atol=1e-6)
    np.testing.assert_array_equal(found != 0, codes != 0)


def test_it_refits_all_that_it_took():
    """The first choice leans on the second: matching pursuit without a refit would err."""
    atoms = jnp.asarray([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    for pursuit in (omp, nonnegative_omp):
        pursue = jax.jit(lambda x, of=pursuit: of(x, atoms, jnp.asarray([2]), 2))
        found = pursue(jnp.asarray([[2.6, 0.8, 0.0]]))
        np.testing.assert_allclose(found, [[2, 1, 0]], atol=1e-5)


def plain(x, atoms, count):
    """The definition, sample by sample, with SciPy's non-negative least squares."""
    z = np.zeros((len(x), len(atoms)))
    for row, target in zip(z, x, strict=True):
        support, left = [], target
        for _ in range(count):
            wanted = atoms @ left
            wanted[support] = -np.inf
            support.append(int(wanted.argmax()))
            row[support] = nnls(atoms[support].T, target)[0]
            left = target - row @ atoms
    return z


@pytest.fixture(scope="module")
def pursued():
    """20 leaning atoms in 7 dimensions, 50 samples that none fits: x, atoms, {count: z}."""
    atoms = np.asarray(directions.random(random.key(5), 20, 7), float) + 0.3
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    x = np.random.default_rng(6).normal(size=(50, 7))
    with jax.enable_x64(True):
        pursue = jax.jit(lambda x, n: nonnegative_omp(x, jnp.asarray(atoms), n, 4))
        found = {n: np.asarray(pursue(x, np.full(50, n))) for n in (1, 2, 4)}
    return x, atoms, found


def test_nonnegative_codes_against_a_plain_version(pursued):
    x, atoms, found = pursued
    for count, z in found.items():
        # The ridge of 1e-5 is corrected once: its square times that of the condition of
        # leaning rows, about 50.
        np.testing.assert_allclose(z, plain(x, atoms, count), atol=1e-6)


def test_what_is_left_is_orthogonal_to_the_atoms_that_are_on(pursued):
    x, atoms, found = pursued
    z = found[4]
    assert (z >= 0).all()
    assert ((z > 0).sum(axis=1) < 4).any()  # somewhere the constraint matters
    left = x - z @ atoms
    # Within the same correction.
    np.testing.assert_allclose((left @ atoms.T)[z > 0], 0, atol=1e-6)


def test_nonnegative_codes_are_exact_on_orthonormal_atoms(nonnegative):
    codes = nonnegative.codes.astype(np.float32)
    pursue = jax.jit(lambda x, n: nonnegative_omp(x, jnp.eye(12), n, 3))
    np.testing.assert_allclose(pursue(codes, nonnegative.count), codes, atol=1e-6)
