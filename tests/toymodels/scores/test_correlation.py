"""Correlation, amplitude, disentanglement, phi and the frequency bins, by hand."""

from itertools import product

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import classification, correlation, matching
from toymodels.scores.statistics import Statistics, measure, on_host

compiled = jax.jit(measure)
# Three independent features, each on in one sample of three.
A = np.array(list(product([0.0, 0.0, 1.0], repeat=3)))
CLOSE = 1e-6  # float32 sums of 27 small numbers


def statistics_of(z, a=A) -> Statistics:
    x = np.ones((len(z), 2), np.float32)
    return on_host(
        compiled(Batch(x, np.asarray(a, np.float32)), np.asarray(z, np.float32), x)
    )


def diagonal(n: int) -> matching.Match:
    return matching.Match(np.arange(n), np.arange(n), np.ones(n))


@pytest.mark.parametrize(
    ("z", "phi"),
    [
        (A[:, 0], 1),
        (-3 * A[:, 0], 1),
        (1 - A[:, 0], -1),
        (A[:, 1], 0),
        (np.ones(27), 0),
        (np.zeros(27), 0),
        # On when either is: p = 1/3 in q = 5/9; (p - pq) / sqrt(p(1-p)q(1-q)).
        (A[:, 0] + A[:, 1], (1 / 3) * (4 / 9) / np.sqrt((2 / 9) * (5 / 9) * (4 / 9))),
    ],
    ids=["same", "signed", "opposite", "independent", "always", "never", "merged"],
)
def test_phi(z, phi):
    found = classification.phi(statistics_of(z[:, None]), diagonal(1))
    # The two features without a latent count 0.
    np.testing.assert_allclose(found, [phi, 0, 0], atol=CLOSE)


def test_every_latent_with_every_feature():
    """F1 of two independent coins of 1/3 is 1/3."""
    found = classification.f1(statistics_of(A))
    np.testing.assert_allclose(
        found, np.full((3, 3), 1 / 3) + 2 / 3 * np.eye(3), atol=CLOSE
    )


def test_best_latent_is_many_to_one():
    """A merged latent is the best for both of its features, and matched to one only."""
    z = np.stack([A[:, 0] + A[:, 1], A[:, 2]], axis=1)
    statistics = statistics_of(z)
    merged = 2 * (1 / 3) / (5 / 9 + 1 / 3)
    best = classification.by_best_latent(statistics)
    np.testing.assert_allclose(best.f1, [merged, merged, 1], atol=CLOSE)
    np.testing.assert_allclose(best.precision, [3 / 5, 3 / 5, 1], atol=CLOSE)
    pairs = matching.one_to_one(classification.f1(statistics))
    matched = classification.of_pairs(statistics, pairs)
    np.testing.assert_allclose(np.sort(matched.f1), [0, merged, 1], atol=CLOSE)


def test_rare_features_and_bins():
    a = np.zeros((100, 10))
    for j, count in enumerate([90, 1, 30, 2, 80, 3, 70, 50, 60, 40]):
        a[:count, j] = 1
    statistics = statistics_of(a, a)
    assert classification.rarest(statistics).tolist() == [1, 3, 5]  # 2.5, rounded up
    values = np.arange(10.0)
    bins = classification.by_frequency(values, statistics)
    # By frequency: 1, 3, 5, 2, 9, 7, 8, 6, 4, 0.
    np.testing.assert_array_equal(bins, [2, 3.5, 8, 7, 2])
    with pytest.raises(ValueError, match=r"bins is 11, expected .* \[1, 10\]; each bin"):
        classification.by_frequency(values, statistics, 11)


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_amplitude(length):
    """Shrunk to 0.7; merged with an independent feature; no latent at all."""
    W_dec = length * np.eye(4)[:2]
    z = np.stack([0.7 * A[:, 0], A[:, 1] + A[:, 2]], axis=1) / length
    found = correlation.amplitude(statistics_of(z), W_dec, diagonal(2))
    np.testing.assert_allclose(found.slope, [0.7, 1, 0], atol=CLOSE)
    np.testing.assert_allclose(found.r2, [1, 1 / 2, 0], atol=CLOSE)


def test_amplitude_counts_what_was_missed():
    """A latent that catches an independent half of its feature: slope 1/2."""
    a = np.array([[1.0], [1], [0], [0]])
    z = np.array([[1.0], [0], [0], [0]])
    found = correlation.amplitude(statistics_of(z, a), np.eye(1), diagonal(1))
    np.testing.assert_allclose(found.slope, 0.5, atol=CLOSE)
    np.testing.assert_allclose(found.r2, (1 / 8) ** 2 / (3 / 16 * 1 / 4), atol=CLOSE)


def test_dci_of_a_permutation_is_one():
    found = correlation.dci(statistics_of(A[:, [2, 0, 1]] * [1, -5, 0.1]))
    np.testing.assert_allclose(found, (1, 1), atol=CLOSE)


def test_dci_of_duplicates():
    """Each latent speaks of one feature; each feature is spoken of by two of six."""
    found = correlation.dci(statistics_of(np.tile(A, 2)))
    half = 1 - np.log(2) / np.log(6)
    np.testing.assert_allclose(found, (1, half), atol=CLOSE)


def test_dci_of_a_merged_pair():
    """Latent 0 has importance 1/2 for each of two features, latent 1 has 1 for one."""
    found = correlation.dci(statistics_of(np.stack([A[:, 0] + A[:, 1], A[:, 2]], axis=1)))
    mixed = 1 - np.log(2) / np.log(3)
    np.testing.assert_allclose(found, ((mixed + 1) / 2, 1), atol=CLOSE)


def test_dci_of_latents_that_say_nothing():
    assert correlation.dci(statistics_of(np.ones((27, 2)))) == (0, 0)
