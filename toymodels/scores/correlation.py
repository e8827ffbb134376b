"""Latent values against feature values: correlation, amplitude, disentanglement."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from toymodels.scores.classification import ratio
from toymodels.scores.matching import Match, one_to_one
from toymodels.scores.mixing import perplexity
from toymodels.scores.statistics import Statistics, above_rounding


def correlations(statistics: Statistics) -> Float[np.ndarray, "latent feature"]:
    """Pearson correlation of every latent with every feature; 0 with a constant."""
    z_m2 = above_rounding(statistics.z_m2, statistics.z_mean)
    a_m2 = above_rounding(statistics.a_m2, statistics.a_mean)
    return ratio(statistics.za, np.sqrt(z_m2[:, None] * a_m2))


def mcc_act(statistics: Statistics, absolute: bool = False) -> float:
    """Mean Pearson correlation of latent and feature values after one-to-one matching.

    The matching maximises the correlations themselves. This is the MCC of identifiable
    ICA, signed; a constant latent correlates with nothing and counts 0. Ceiling 1; its
    floor is what the best matching makes of chance, so read it next to a control. With
    `absolute` it matches and averages magnitudes, as much of ICA's literature does.
    """
    found = correlations(statistics)
    return float(one_to_one(np.abs(found) if absolute else found).value.mean())


class Amplitude(NamedTuple):
    """How strongly a feature's latent answers to it; [feature], 0 where unmatched.

    Attributes:
        slope: of z_i ||w_i|| on a_j over all samples. 1 is faithful, less is shrunk.
        r2: the squared correlation: the share of the latent's variance that is the
            feature's.
    """

    slope: Float[np.ndarray, " feature"]
    r2: Float[np.ndarray, " feature"]


def amplitude(
    statistics: Statistics,
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    pairs: Match,
) -> Amplitude:
    """Slope Cov(z_i ||w_i||, a_j) / Var(a_j) and R^2 of each pair.

    Over all samples, absent features included, so that a missed feature counts. For the
    samples in which the feature is present alone, see `ranking.when_present`.
    """
    length = np.linalg.norm(np.asarray(W_dec, float), axis=1)[pairs.latent]
    z_m2 = above_rounding(statistics.z_m2, statistics.z_mean)[pairs.latent]
    a_m2 = above_rounding(statistics.a_m2, statistics.a_mean)[pairs.feature]
    za = statistics.za[pairs.latent, pairs.feature]
    slope, r2 = np.zeros(len(statistics.a_m2)), np.zeros(len(statistics.a_m2))
    slope[pairs.feature] = ratio(za * length, a_m2)
    r2[pairs.feature] = ratio(np.square(za), z_m2 * a_m2)
    return Amplitude(slope, r2)


class Disentanglement(NamedTuple):
    """DCI (Eastwood & Williams 2018), importances being squared correlations.

    Attributes:
        disentanglement: does each latent speak of one feature? Weighted by its mass.
        completeness: is each feature spoken of by one latent? Weighted by its mass.
    """

    disentanglement: float
    completeness: float


def dci(statistics: Statistics) -> Disentanglement:
    """1 - H / H_max of the rows and of the columns of R^2, each weighted by its sum.

    Both are 1 for a permutation and 0 for importances that are all equal; with no
    importance at all, 0. The paper's importances come from a fitted regressor; squared
    correlations need none and have no seed. With many latents the sum of many correlations
    that are only noise (each about 1/n_samples) lowers both.
    """
    importance = np.square(correlations(statistics))
    return Disentanglement(_concentration(importance), _concentration(importance.T))


def _concentration(importance: Float[np.ndarray, "row item"]) -> float:
    total, mass = importance.sum(), importance.sum(axis=1)
    if total == 0:
        return 0.0
    if importance.shape[1] == 1:
        return 1.0
    effective = np.where(mass > 0, perplexity(importance), 1)
    entropy = np.log(effective) / np.log(importance.shape[1])
    return float(np.sum(mass * (1 - entropy)) / total)
