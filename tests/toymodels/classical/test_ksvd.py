"""K-SVD: rank-one fits are singular vectors, and it finds a planted dictionary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import KSVD, ksvd
from toymodels.scores import geometry


def test_rank_one_against_singular_vectors():
    """A matrix of non-negative multiples of one row, and some noise."""
    rng = np.random.default_rng(0)
    x = np.outer(rng.uniform(1, 2, 40), rng.normal(size=7)) + 0.1 * rng.normal(size=(40, 7))
    left, values, right = np.linalg.svd(x)
    sign = np.sign(left[0, 0])
    with jax.enable_x64(True):
        size, row = ksvd.rank_one(jnp.asarray(x), jnp.asarray(x[0] / np.linalg.norm(x[0])))
    # Ten turns shrink what is left by the squared ratio of the singular values each.
    np.testing.assert_allclose(row, sign * right[0], atol=1e-8)
    np.testing.assert_allclose(size, sign * left[:, 0] * values[0], atol=1e-7)


def test_updates_of_atoms_never_raise_the_error_and_keep_the_support():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    z = rng.exponential(size=(80, 6)) * (rng.random((80, 6)) < 0.4)
    x = z @ rows + 0.3 * rng.normal(size=(80, 5))
    error = [np.square(x - z @ rows).sum()]
    with jax.enable_x64(True):
        new = jnp.asarray(z), jnp.asarray(rows)
        for _ in range(5):
            new = ksvd.update_atoms(jnp.asarray(x), *new)
            error.append(float(jnp.sum(jnp.square(x - new[0] @ new[1]))))
    assert (np.diff(error) < 0).all()
    assert (np.asarray(new[0]) >= 0).all()
    assert not np.asarray(new[0])[z == 0].any()
    np.testing.assert_allclose(np.linalg.norm(new[1], axis=1), 1, rtol=1e-12)


@pytest.mark.slow
def test_it_finds_a_planted_dictionary(planted, best_fit):
    params = best_fit(KSVD(16, k=2, steps=30), random.key(2), planted.x)
    assert geometry.mcc_dec(geometry.cosines(params.W_dec, planted.atoms)) > 0.99
