"""Scores of the code and of the reconstruction."""

import numpy as np
from jaxtyping import Float

from toymodels.scores.statistics import Statistics, above_rounding


def explained_variance(statistics: Statistics) -> float:
    """1 - E||x - x_hat||^2 / (E||x||^2 - ||E x||^2).

    The denominator is the variance about the mean, summed over dimensions before
    dividing; a bias error counts against the dictionary.
    """
    length = np.linalg.norm(statistics.x_mean)
    if above_rounding(statistics.x_m2, np.asarray(length)) == 0:
        raise ValueError(
            "all samples are equal, expected data that varies; explained variance is "
            "undefined"
        )
    return float(1 - statistics.error / statistics.x_m2)


def l0(statistics: Statistics) -> float:
    """The mean number of non-zero latents in a sample."""
    return float(statistics.z_on.sum() / statistics.n)


def true_l0(statistics: Statistics) -> float:
    """The mean number of features present in a sample."""
    return float(statistics.a_on.sum() / statistics.n)


def firing_rate(statistics: Statistics) -> Float[np.ndarray, " latent"]:
    """The share of samples in which each latent is on."""
    return np.asarray(statistics.z_on / statistics.n)


def dead(statistics: Statistics) -> float:
    """The share of latents that were never on."""
    return float(np.mean(statistics.z_on == 0))


def dense(statistics: Statistics, above: float = 0.5) -> float:
    """The share of latents that were on in more than `above` of the samples."""
    return float(np.mean(firing_rate(statistics) > above))


def shrinkage(statistics: Statistics) -> float:
    """Mean ||x_hat|| / ||x|| over samples with ||x|| > 1e-6; below 1 means shrunk."""
    return float(statistics.norm_ratio / statistics.norm_count)
