"""Latents as detectors of features: on or off against present or absent.

Four conventions, always named in the score.

* *latent*: each latent against its nearest feature by cosine, many to one, averaged over
  all latents (as SAELens does). Many copies of one feature score well, so read it next to
  `uniqueness`.
* *feature*: each feature against the latent it is matched to one-to-one by cosine,
  averaged over all features; an unmatched feature counts 0.
* *best*: each feature against whichever latent has the highest F1, many to one. The
  maximum over latents is taken on the same samples: optimistic for rare features.
* *threshold*: as *feature*, a latent being on above a share of its largest value, the best
  of ten shares (`ranking.threshold_f1`).

A ratio whose denominator is 0 counts 0. "On" means non-zero. For a latent that fires
independently of its feature, precision is the feature's frequency and recall the latent's:
the floor. The ceiling is 1.
"""

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from synthetic.validation import require_range
from toymodels.scores.geometry import Cosines, match
from toymodels.scores.matching import Match
from toymodels.scores.statistics import Numbers, Statistics


class Detection(NamedTuple):
    """Attributes:
    precision: P(feature present | latent on).
    recall: P(latent on | feature present).
    f1: their harmonic mean.
    """

    precision: Float[np.ndarray, " item"]
    recall: Float[np.ndarray, " item"]
    f1: Float[np.ndarray, " item"]


class Counted(Protocol):
    """Statistics that know how often each feature is present."""

    @property
    def a_on(self) -> Numbers: ...


def ratio(part: Numbers, whole: Numbers) -> np.ndarray:
    """part / whole, 0 where `whole` is not positive."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def detection(both: Numbers, latent: Numbers, feature: Numbers) -> Detection:
    """From how often both are on, and each alone."""
    return Detection(
        ratio(both, latent), ratio(both, feature), ratio(2 * both, latent + feature)
    )


def by_latent(statistics: Statistics, cosine: Cosines) -> Detection:
    """[latent]: each latent against its nearest feature."""
    nearest = cosine.argmax(axis=1)
    latents = np.arange(len(nearest))
    return detection(
        statistics.both_on[latents, nearest], statistics.z_on, statistics.a_on[nearest]
    )


def by_feature(statistics: Statistics, cosine: Cosines) -> Detection:
    """[feature]: each feature against its one-to-one match by cosine."""
    return of_pairs(statistics, match(cosine))


def of_pairs(statistics: Statistics, pairs: Match) -> Detection:
    """[feature]: each feature against the latent of its pair, whatever made the pairs."""
    both, on = np.zeros(len(statistics.a_on)), np.zeros(len(statistics.a_on))
    both[pairs.feature] = statistics.both_on[pairs.latent, pairs.feature]
    on[pairs.feature] = statistics.z_on[pairs.latent]
    return detection(both, on, statistics.a_on)


def f1(statistics: Statistics) -> Float[np.ndarray, "latent feature"]:
    """2 N_ij / (N_i + N_j) of every latent with every feature."""
    total = statistics.z_on[:, None] + statistics.a_on
    return ratio(2 * statistics.both_on, total)


def by_best_latent(statistics: Statistics) -> Detection:
    """[feature]: each feature against the latent with the highest F1 for it."""
    latent = f1(statistics).argmax(axis=0)
    features = np.arange(len(latent))
    return detection(
        statistics.both_on[latent, features], statistics.z_on[latent], statistics.a_on
    )


def phi(statistics: Statistics, pairs: Match) -> Float[np.ndarray, " feature"]:
    """The Matthews correlation of "latent on" with "feature present", by feature.

    (n N_ij - N_i N_j) / sqrt(N_i (n - N_i) N_j (n - N_j)); 0 for independence and for an
    unmatched feature, 1 for a perfect detector, -1 for one that is on exactly when the
    feature is absent. (Matthews 1975; Yule's phi.)
    """
    n = float(statistics.n)
    on, present = statistics.z_on[pairs.latent], statistics.a_on[pairs.feature]
    both = statistics.both_on[pairs.latent, pairs.feature]
    scale = np.sqrt(on * (n - on) * present * (n - present))
    values = np.zeros(len(statistics.a_on))
    values[pairs.feature] = ratio(n * both - on * present, scale)
    return values


def rarest(statistics: Counted, share: float = 0.25) -> np.ndarray:
    """The indices of the rarest `share` of features, rounded up; rarest first."""
    require_range("share", share, 0.0, 1.0, "it is a share of the features")
    order = np.argsort(statistics.a_on, kind="stable")
    return order[: int(np.ceil(share * len(order)))]


def by_frequency(
    values: Float[np.ndarray, " feature"], statistics: Statistics, bins: int = 5
) -> Float[np.ndarray, " bin"]:
    """The mean of `values` in bins of equally many features, rarest first."""
    fix = "each bin needs a feature"
    require_range("bins", bins, 1, len(values), fix)
    order = np.argsort(statistics.a_on, kind="stable")
    return np.array([values[part].mean() for part in np.array_split(order, bins)])
