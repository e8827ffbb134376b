"""Mixing matrices of dictionaries that were mixed by hand."""

import numpy as np
import pytest

from synthetic import directions, random
from toymodels.scores import mixing

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
