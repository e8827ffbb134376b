"""Wrong-L0 detectors and consistency between seeds, by hand."""

from itertools import product

import numpy as np
import pytest

from toymodels.scores import consistency, geometry, wrong_l0


def test_mean_decoder_cosine_by_hand():
    W_dec = np.array([[2.0, 0], [0, 3], [-1, -1]])
    # |cos| of the three pairs: 0, 1 / sqrt(2), 1 / sqrt(2).
    assert wrong_l0.mean_decoder_cosine(W_dec) == pytest.approx(2 / 3 / np.sqrt(2))
    assert wrong_l0.mean_decoder_cosine(np.eye(5)) == 0
    assert wrong_l0.mean_decoder_cosine(np.ones((4, 3))) == pytest.approx(1)


def test_mean_decoder_cosine_of_random_rows():
    """E|cos| is about sqrt(2 / (pi d)); 4,950 pairs leave 1 % of it."""
    rows = np.random.default_rng(0).normal(size=(100, 400))
    expected = np.sqrt(2 / (np.pi * 400))
    assert wrong_l0.mean_decoder_cosine(rows) == pytest.approx(expected, rel=0.05)


# All samples with exactly two of four features at 1, in a space of four dimensions.
PAIRS = np.array([v for v in product([0.0, 1.0], repeat=4) if sum(v) == 2])


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (2, 1), (3, 0), (4, 0)])
def test_nth_decoder_projection_of_the_truth(n, expected):
    """Two projections a sample are 1, the others 0, whatever bias and scale."""
    found = wrong_l0.nth_decoder_projection(PAIRS + 0.3, 5 * np.eye(4), 0.3, n)
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_mixed_dictionary_still_projects_past_the_true_l0():
    """Feature 0 is in every latent, as when L0 is too low."""
    mixed = np.eye(4) + 0.3 * np.eye(4)[0]
    truth, wrong = (
        wrong_l0.nth_decoder_projection(PAIRS, W_dec, 0.0, 3)
        for W_dec in (np.eye(4), mixed)
    )
    # The third projection: of feature 0 on latents whose own feature is absent.
    assert truth == 0
    assert wrong == pytest.approx(0.3 / np.sqrt(1.09))
    assert wrong_l0.mean_decoder_cosine(mixed) > wrong_l0.mean_decoder_cosine(np.eye(4))


def test_detectors_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match=r"n is 5, expected .* \[1, 4\]; a sample has"):
        wrong_l0.nth_decoder_projection(PAIRS, np.eye(4), 0.0, 5)
    with pytest.raises(ValueError, match=r"width of W_dec is 3, expected 4"):
        wrong_l0.nth_decoder_projection(PAIRS, np.eye(3), 0.0, 1)
    with pytest.raises(ValueError, match=r"rows of W_dec is 1, expected .*one row"):
        wrong_l0.mean_decoder_cosine(np.ones((1, 3)))


def test_seeds_that_agree_and_one_that_does_not():
    """Two permutations of one dictionary, and one turned by 60 degrees out of its space."""
    first = np.eye(6)[:3]
    other = 0.5 * np.eye(6)[:3] + np.sqrt(0.75) * np.eye(6)[3:]
    table = consistency.pairwise_mcc([first, 3 * first[[2, 0, 1]], other])
    np.testing.assert_allclose(table, [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]], atol=1e-12)
    assert consistency.seed_consistency(table) == pytest.approx((1 + 0.5 + 0.5) / 3)
    # Left out in turn: 0.5, 0.5 and 1, whose variance is 1 / 18; times s - 1 = 2.
    assert consistency.jackknife_error(table) == pytest.approx(1 / 3)


def test_consistency_is_signed_unless_asked():
    flipped = [np.eye(3)[:1], -np.eye(3)[:1]]
    assert consistency.seed_consistency(consistency.pairwise_mcc(flipped)) == -1
    assert consistency.seed_consistency(consistency.pairwise_mcc(flipped, True)) == 1
    with pytest.raises(ValueError, match=r"dictionaries is 1, expected .*between seeds"):
        consistency.pairwise_mcc(flipped[:1])
    with pytest.raises(ValueError, match=r"number of seeds is 2, .*two seeds are one pair"):
        consistency.jackknife_error(np.eye(2))


TABLE = np.array([[0.95, 0.1, 0.0], [0.2, 0.85, 0.7], [0.0, -0.9, 0.3], [0.1, -0.4, -0.3]])


@pytest.mark.parametrize(("at", "expected"), [(0.7, 1), (0.8, 2 / 3), (0.9, 1 / 3), (1, 0)])
def test_coverage_counts_features_with_a_latent_near_enough(at, expected):
    assert geometry.coverage(TABLE, at) == pytest.approx(expected)


def test_coverage_lets_features_share_a_latent():
    assert geometry.coverage(np.array([[0.9, 0.9]]), 0.8) == 1
    with pytest.raises(ValueError, match=r"at is 80, expected .*it is a cosine"):
        geometry.coverage(TABLE, 80)


def test_anti_aligned_latents():
    """Latent 2 points against feature 1; latent 3 does too, but is near to nothing."""
    assert geometry.anti_aligned(TABLE).tolist() == [False, False, True, False]
    assert geometry.anti_aligned(TABLE, at=0.4).tolist() == [False, False, True, True]
    antipodal = np.array([[1.0, -1.0], [-1.0, 1.0]])  # d and -d are both features
    assert not geometry.anti_aligned(antipodal).any()
