"""Latents as detectors of features: on or off against present or absent.

Two conventions, always named. *latent*: each latent against its nearest feature by
cosine, many to one, averaged over all latents (as SAELens does); many copies of one
feature score well, so read it next to `uniqueness`. *feature*: each feature against the
latent it is matched to one-to-one, averaged over all features; an unmatched feature counts
0. A ratio whose denominator is 0 counts 0.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from toymodels.scores.geometry import Cosines, match
from toymodels.scores.statistics import Numbers, Statistics, above_rounding


class Detection(NamedTuple):
    """Attributes:
    precision: P(feature present | latent on).
    recall: P(latent on | feature present).
    f1: their harmonic mean.
    """

    precision: Float[np.ndarray, " item"]
    recall: Float[np.ndarray, " item"]
    f1: Float[np.ndarray, " item"]


def _ratio(part: Numbers, whole: Numbers) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def _detection(both: Numbers, latent: Numbers, feature: Numbers) -> Detection:
    return Detection(
        _ratio(both, latent), _ratio(both, feature), _ratio(2 * both, latent + feature)
    )


def by_latent(statistics: Statistics, cosine: Cosines) -> Detection:
    """[latent]: each latent against its nearest feature."""
    nearest = cosine.argmax(axis=1)
    latents = np.arange(len(nearest))
    return _detection(
        statistics.both_on[latents, nearest], statistics.z_on, statistics.a_on[nearest]
    )


def by_feature(statistics: Statistics, cosine: Cosines) -> Detection:
    """[feature]: each feature against its one-to-one match."""
    pairs = match(cosine)
    both, on = np.zeros(cosine.shape[1]), np.zeros(cosine.shape[1])
    both[pairs.feature] = statistics.both_on[pairs.latent, pairs.feature]
    on[pairs.feature] = statistics.z_on[pairs.latent]
    return _detection(both, on, statistics.a_on)


def mcc_act(statistics: Statistics) -> float:
    """Mean Pearson correlation of latent and feature values after one-to-one matching.

    The matching maximises the correlations themselves. This is the MCC of identifiable
    ICA, signed; a constant latent correlates with nothing and counts 0.
    """
    z_m2 = above_rounding(statistics.z_m2, statistics.z_mean)
    a_m2 = above_rounding(statistics.a_m2, statistics.a_mean)
    scale = np.sqrt(z_m2[:, None] * a_m2)
    return float(match(_ratio(statistics.za, scale)).value.mean())
