"""Mixing matrices of dictionaries that were mixed by hand, and codes on known supports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, random
from toymodels.scores import mixing, pursuit

# Latents: a pure one, a merged pair, a child that absorbed half its parent, a dead one.
MIXED = np.array([[2.0, 0, 0], [1, 1, 0], [0.5, 0, 1], [0, 0, 0]])


def rows(n: int, d_model: int, seed: int = 0) -> np.ndarray:
    return np.asarray(directions.random(random.key(seed), n, d_model), float)


@pytest.mark.parametrize("d_model", [3, 7])
def test_decoder_mixing_undoes_what_was_mixed(d_model):
    true = rows(3, d_model)
    rest = np.linalg.svd(true)[2][3:]  # what no feature explains
    W_dec = MIXED @ true + (5 * rest[0] if len(rest) else 0)
    # Float64, times the condition of three random rows.
    np.testing.assert_allclose(mixing.decoder_mixing(W_dec, true), MIXED, atol=1e-10)


def test_cosines_are_misled_where_mixing_is_not():
    """Directions that lean: a pure latent has cosine 0.6 with a feature it has none of."""
    true = np.array([[1.0, 0], [0.6, 0.8]])
    np.testing.assert_allclose(mixing.decoder_mixing(true, true), np.eye(2), atol=1e-12)


def test_more_features_than_dimensions_are_mixed_sparsely():
    """24 directions in 16 dimensions, two in each latent, one of them negative."""
    true = rows(24, 16, seed=1)
    expected = np.zeros((5, 24))
    expected[np.arange(5), [0, 3, 9, 14, 20]] = 1.0
    expected[np.arange(5), [7, 8, 2, 22, 1]] = [0.5, -0.5, 0.4, -0.7, 0.9]
    found = mixing.decoder_mixing(expected @ true, true, most=4)
    # Float32 directions leave at most 1e-6 of a row for further atoms.
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_encoder_mixing_is_the_response_to_each_feature():
    true, W_enc = rows(4, 6), np.random.default_rng(2).normal(size=(6, 3))
    found = mixing.encoder_mixing(W_enc, true)
    assert found.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            assert found[i, j] == pytest.approx(true[j] @ W_enc[:, i])


def test_features_per_latent():
    found = mixing.features_per_latent(MIXED)
    share = np.array([0.2, 0.8])  # squares of 0.5 and 1
    half = 2 ** -np.sum(share * np.log2(share))
    np.testing.assert_allclose(found, [1, 2, half, 0], rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_not_finite_or_does_not_fit(bad):
    with pytest.raises(ValueError, match=r"W_dec holds .* expected finite"):
        mixing.decoder_mixing(np.full((1, 3), bad), np.eye(3))
    with pytest.raises(ValueError, match=r"W_dec is 4, expected 3; both"):
        mixing.decoder_mixing(np.ones((1, 4)), np.eye(3))
    with pytest.raises(ValueError, match=r"rows of W_enc is 4, expected 3; W_enc has one"):
        mixing.encoder_mixing(np.ones((4, 2)), np.eye(3))


class Samples:
    """40 samples of 1 to 3 of 12 features in 16 dimensions, codes of either sign."""

    def __init__(self, signed: bool):
        rng = np.random.default_rng(3)
        self.atoms = directions.random(random.key(3), 12, 16)
        self.count = rng.integers(1, 4, 40)
        order = rng.random((40, 12)).argsort(axis=1)
        self.support = order < self.count[:, None]
        values = rng.uniform(0.5, 2, (40, 12)) * (rng.choice([-1, 1], (40, 12)) ** signed)
        self.codes = np.where(self.support, values, 0)
        self.x = jnp.asarray(self.codes @ np.asarray(self.atoms, float), jnp.float32)


def test_least_squares_on_the_true_support_is_exact():
    data = Samples(signed=True)
    solve = jax.jit(lambda x, support: pursuit.on_support(x, data.atoms, support, 3))
    # Float32 normal equations of three random rows in 16 dimensions.
    np.testing.assert_allclose(solve(data.x, data.support), data.codes, atol=1e-4)


@pytest.mark.parametrize("signed", [False, True])
def test_omp_is_exact_on_orthonormal_atoms(signed):
    data = Samples(signed)
    codes = data.codes.astype(np.float32)
    pursue = jax.jit(lambda x, n: pursuit.omp(x, jnp.eye(12), n, 3, not signed))
    np.testing.assert_allclose(pursue(codes, data.count), codes, atol=1e-6)
    # With atoms to spare it stops when nothing is left.
    found = pursue(codes, np.full(40, 3))
    np.testing.assert_allclose(found, codes, atol=1e-6)
    np.testing.assert_array_equal(found != 0, codes != 0)


def test_omp_refits_all_that_it_took():
    """The first choice leans on the second: matching pursuit without a refit would err."""
    atoms = jnp.asarray([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    pursue = jax.jit(lambda x: pursuit.omp(x, atoms, jnp.asarray([2]), 2))
    found = pursue(jnp.asarray([[2.6, 0.8, 0.0]]))
    np.testing.assert_allclose(found, [[2, 1, 0]], atol=1e-5)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_fista_on_orthonormal_atoms_is_the_soft_threshold(nonnegative):
    x = jnp.asarray([[2.0, 0.3, -1.0, 0.0]])
    found = jax.jit(lambda x: pursuit.fista(x, jnp.eye(4), 0.5, 100, nonnegative))(x)
    expected = [[1.5, 0, 0 if nonnegative else -0.5, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_fista_meets_the_optimality_conditions():
    """d_j . (x - a D) is the penalty where a_j > 0 and no more elsewhere."""
    data = Samples(signed=False)
    solve = jax.jit(lambda x, p: pursuit.fista(x, data.atoms, p, 1000))
    found = np.asarray(solve(data.x, 0.1), float)
    atoms = np.asarray(data.atoms, float)
    slope = (np.asarray(data.x, float) - found @ atoms) @ atoms.T
    # After a thousand steps only float32 is left of the error.
    np.testing.assert_allclose(slope[found > 1e-3], 0.1, atol=1e-4)
    assert slope.max() < 0.1 + 1e-4
    # A penalty beyond every correlation leaves nothing on.
    assert not np.any(solve(data.x, 10.0))
