"""Detection scores on small tables of zeros and ones, counted by hand."""

from itertools import permutations

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import classification, correlation
from toymodels.scores.statistics import Statistics, measure, on_host

compiled = jax.jit(measure)

# Six samples. Latent 0 for feature 0: 2 hits, 1 false alarm, 1 miss.
# Latent 1 for feature 1: 1 hit, no false alarm, 2 misses; a negative value is on.
# Latent 2 never fires. Feature 2 never occurs. Latent 3 is on in samples 4 and 5.
A = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 2, 2, 2, 0], [0, 0, 0, 0, 0, 0]], float).T
Z = np.array(
    [[1, 3, 0, 1, 0, 0], [0, 0, 0, 0, -1, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], float
).T
# Nearest features: 0, 1, 0, 0; matched: 0-0, 1-1, 3-2 (latent 2 is left over).
COSINE = np.array([[0.9, 0, 0], [0, 0.8, 0.1], [0.3, 0.1, 0], [0.6, 0.2, 0.5]])


def statistics_of(z: np.ndarray, features: np.ndarray) -> Statistics:
    x = np.ones((len(z), 2), np.float32)
    batch = Batch(x, features.astype(np.float32))
    return on_host(compiled(batch, z.astype(np.float32), x))


def test_each_latent_against_its_nearest_feature():
    found = classification.by_latent(statistics_of(Z, A), COSINE)
    np.testing.assert_allclose(found.precision, [2 / 3, 1, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(found.recall, [2 / 3, 1 / 3, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(found.f1, [2 / 3, 1 / 2, 0, 0], rtol=1e-14)


def test_each_feature_against_its_own_latent():
    """Feature 2 never occurs; the latent matched to it is always wrong."""
    found = classification.by_feature(statistics_of(Z, A), COSINE)
    np.testing.assert_allclose(found.precision, [2 / 3, 1, 0], rtol=1e-14)
    np.testing.assert_allclose(found.recall, [2 / 3, 1 / 3, 0], rtol=1e-14)
    np.testing.assert_allclose(found.f1, [2 / 3, 1 / 2, 0], rtol=1e-14)


def test_nearest_is_many_to_one_and_matched_is_not():
    """Both latents lie nearest to feature 0; only one of them may keep it."""
    cosine = np.array([[0.9, 0.8, 0.0], [0.7, 0.1, 0.0]])
    statistics = statistics_of(Z[:, :2], A)
    latent = classification.by_latent(statistics, cosine)
    # Latent 1 fires once, in sample 4, where feature 0 is absent.
    np.testing.assert_allclose(latent.precision, [2 / 3, 0], rtol=1e-14)
    feature = classification.by_feature(statistics, cosine)
    # Latent 0 (on in 0, 1, 3) goes to feature 1 (present in 2, 3, 4): one hit of three.
    np.testing.assert_allclose(feature.precision, [0, 1 / 3, 0], rtol=1e-14)
    np.testing.assert_allclose(feature.recall, [0, 1 / 3, 0], rtol=1e-14)


def test_unmatched_features_count_zero():
    found = classification.by_feature(statistics_of(Z[:, :1], A), COSINE[:1])
    np.testing.assert_allclose(found.f1, [2 / 3, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(found.recall, [2 / 3, 0, 0], rtol=1e-14)


def test_f1_is_the_harmonic_mean():
    rng = np.random.default_rng(0)
    z, a = rng.random((50, 4)) < 0.4, rng.random((50, 3)) < 0.5
    found = classification.by_latent(statistics_of(z, a), rng.random((4, 3)))
    assert (found.precision > 0).all()
    expected = 2 / (1 / found.precision + 1 / found.recall)
    np.testing.assert_allclose(found.f1, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def values():
    """Independent uniform features."""
    return np.random.default_rng(1).uniform(size=(400, 3))


# Float32 sums of 400 terms, at worst one by one: 400 * 6e-8.
CLOSE = 2.4e-5


@pytest.mark.parametrize("shape", [(3, 3), (2, 3), (4, 3)])
def test_mcc_act_is_the_best_matching_of_pearson_correlations(shape):
    rng = np.random.default_rng([2, *shape])
    latents, features = shape
    a = rng.normal(size=(400, features))
    z = a @ rng.normal(size=(features, latents)) + rng.normal(size=(400, latents))
    R = np.corrcoef(z.T, a.T)[:latents, latents:]
    R = R.T if latents > features else R
    n = len(R)
    best = max(R[np.arange(n), list(p)].mean() for p in permutations(range(max(shape)), n))
    found = correlation.mcc_act(statistics_of(z, a))
    assert found == pytest.approx(best, abs=CLOSE)


def test_mcc_act_ignores_scale_offset_and_order(values):
    z = values[:, [2, 0, 1]] * [0.01, 1, 300] + [5, 0, -7]
    found = correlation.mcc_act(statistics_of(z, values))
    assert found == pytest.approx(1, abs=CLOSE)


def test_mcc_act_does_not_reward_negative_correlation(values):
    assert correlation.mcc_act(statistics_of(-values[:, :1], values[:, :1])) == (
        pytest.approx(-1, abs=CLOSE)
    )
    # With three of each, the matching flees the diagonal of -1 to pairs that are
    # independent: correlations of 400 samples, within 5 / sqrt(400).
    assert abs(correlation.mcc_act(statistics_of(-values, values))) < 0.25


def test_mcc_act_of_magnitudes_is_one_for_any_signs(values):
    found = statistics_of(values * [-1, 1, -3], values)
    assert correlation.mcc_act(found, absolute=True) == pytest.approx(1, abs=CLOSE)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e4])
def test_constant_latents_correlate_with_nothing(values, level):
    z = values.copy()
    z[:, 1] = level
    found = correlation.mcc_act(statistics_of(z, values))
    assert found == pytest.approx(2 / 3, abs=CLOSE)


@pytest.mark.parametrize("side", ["z", "a"])
def test_what_rounding_leaves_of_a_constant_correlates_with_nothing(values, side):
    """A constant 0.1 in blocks of 60 and 420 left these sums, which correlate at 0.05."""
    statistics = statistics_of(values, values)
    left = {f"{side}_mean": np.full(3, 0.1), f"{side}_m2": np.full(3, 3.5e-28)}
    za = 0.05 * np.sqrt(3.5e-28 * statistics.a_m2[0])
    found = statistics._replace(za=np.full((3, 3), za), **left)
    assert correlation.mcc_act(found) == 0


def test_features_that_never_occur_count_zero(values):
    a = values * [1, 1, 0]
    found = correlation.mcc_act(statistics_of(values, a))
    assert found == pytest.approx(2 / 3, abs=CLOSE)


def test_mcc_act_is_one_for_values_far_from_zero(values):
    """Float32 rounds 1e4 + u to 1e-3, which costs 1e-6 of correlation; nothing more."""
    found = correlation.mcc_act(statistics_of(values + 1e4, values))
    assert found == pytest.approx(1, abs=CLOSE)
