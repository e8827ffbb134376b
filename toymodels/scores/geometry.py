"""Scores of the decoder's directions against the true ones. No samples are needed.

Cosines are signed unless `absolute=True`: a latent that points the other way has not
recovered its feature. (`absolute=True` is what SAELens computes.)
"""

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from synthetic.directions import random
from synthetic.validation import require_finite, require_range, require_width
from toymodels.scores.matching import Match, one_to_one

Cosines = Float[np.ndarray, "latent feature"]

_ROUNDING = 1e-6  # of float32 rows, in a cosine


def cosines(
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    directions: Float[Array | np.ndarray, "feature d_model"],
    absolute: bool = False,
) -> Cosines:
    """C_ij = w_i . d_j / (||w_i|| ||d_j||), 0 for a zero row, in float64."""
    learned, true = np.asarray(W_dec, float), np.asarray(directions, float)
    fix = "both are rows in the same activation space"
    require_width("the width of W_dec", learned.shape[-1], true.shape[-1], fix)
    require_finite("W_dec", learned)
    require_finite("directions", true)
    cosine = unit_rows(learned) @ unit_rows(true).T
    return np.abs(cosine) if absolute else cosine


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """The rows at length 1, in float64; a zero row stays zero."""
    rows = np.asarray(rows, float)
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1)


def match(cosine: Cosines) -> Match:
    """The one-to-one matching behind `mcc_dec`."""
    return one_to_one(cosine)


def in_matched_order(cosine: Cosines) -> Cosines:
    """The rows reordered: row j is feature j's match, latents without one come last."""
    pairs = match(cosine)
    rest = np.setdiff1d(np.arange(len(cosine)), pairs.latent)
    return cosine[np.concatenate([pairs.latent, rest])]


def mcc_dec(cosine: Cosines) -> float:
    """Mean cosine over the min(m, n) one-to-one pairs (Song et al., arXiv 2505.20254).

    With fewer latents than features it does not punish the features left over; see
    `recovered`.
    """
    return float(match(cosine).value.mean())


def recovered(cosine: Cosines) -> float:
    """Sum of the matched cosines over all features: a missing feature counts 0."""
    return float(match(cosine).value.sum() / cosine.shape[1])


def feature_max_cosine(cosine: Cosines) -> float:
    """mean_j max_i C_ij, the MMCS of Sharkey et al. (2022): is each feature found?"""
    return float(cosine.max(axis=0).mean())


def latent_max_cosine(cosine: Cosines) -> float:
    """mean_i max_j C_ij: is each latent a feature?"""
    return float(cosine.max(axis=1).mean())


def coverage(cosine: Cosines, at: float) -> float:
    """The share of features j with max_i C_ij >= at: found, by that measure.

    Many features may share a latent. Floor 0 (random rows: P(max_i C_ij >= at)), ceiling 1.
    """
    require_range("at", at, -1.0, 1.0, "it is a cosine")
    return float(np.mean(cosine.max(axis=0) >= at))


def anti_aligned(cosine: Cosines, at: float = 0.5) -> Bool[np.ndarray, " latent"]:
    """Latents that point against a feature: min_j C_ij <= -at and below -max_j C_ij.

    Takes signed cosines. With an even-handed |cosine| such a latent counts as a find, yet
    raising it removes the feature. Where d and -d are both features, neither is flagged.
    """
    require_range("at", at, 0.0, 1.0, "it is the size of a cosine")
    against, along = -cosine.min(axis=1), cosine.max(axis=1)
    return (against >= at) & (against > along + _ROUNDING)


def uniqueness(cosine: Cosines) -> float:
    """The number of different nearest features, over the number of latents."""
    return len(np.unique(cosine.argmax(axis=1))) / cosine.shape[0]


def chance_mcc_dec(
    key: Key[Array, ""],
    directions: Float[Array, "feature d_model"],
    n_latents: int,
    draws: int = 16,
    absolute: bool = False,
) -> float:
    """The floor of `mcc_dec`: its mean over dictionaries of random directions."""
    keys = jax.random.split(key, draws)
    d_model = directions.shape[-1]
    values = [
        mcc_dec(cosines(random(k, n_latents, d_model), directions, absolute)) for k in keys
    ]
    return float(np.mean(values))
