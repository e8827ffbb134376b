"""Hedging: a latent whose row also holds a correlated feature that has no latent.

It comes from reconstruction, needs a correlation, and shows in encoder and decoder alike
(Chanin et al. 2025, arXiv 2505.11756); see `scores.absorption` for what sparsity does.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from synthetic.validation import require_range
from toymodels.scores.absorption import ratio_to_own
from toymodels.scores.classification import f1, ratio
from toymodels.scores.matching import Match
from toymodels.scores.mixing import Mixing, perplexity
from toymodels.scores.statistics import Statistics


class Hedging(NamedTuple):
    """How much of the features without a latent is mixed into the latents of others.

    Attributes:
        feature: [matched], features with a latent.
        missing: [missing], features without one.
        coefficient: [matched, missing], h_jk = M^dec[m(j), k] / M^dec[m(j), j]. Its sign
            should be that of the correlation of j and k.
        share: the part of the matched latents' squared mixing that lies on missing
            features, averaged; 0 where none is missing.
    """

    feature: Int[np.ndarray, " matched"]
    missing: Int[np.ndarray, " missing"]
    coefficient: Float[np.ndarray, "matched missing"]
    share: float


def hedging(mixing: Mixing, pairs: Match, at: float = 0.0) -> Hedging:
    """Hedging coefficients (arXiv 2505.11756).

    A lone latent for a parent whose child comes with probability q given the parent, equal
    values and no bias, reconstructs best along the top eigenvector of [[1, q], [q, q]]:
    h = tan(arctan(2q / (1 - q)) / 2).

    Args:
        mixing: of the decoder.
        pairs: the one-to-one matching.
        at: a feature matched below this similarity counts as missing as well.
    """
    found = pairs.value >= at
    feature, latent = pairs.feature[found], pairs.latent[found]
    missing = np.setdiff1d(np.arange(mixing.shape[1]), feature)
    rows = mixing[latent]
    coefficient = ratio_to_own(
        rows[:, missing], rows[np.arange(len(rows)), feature][:, None]
    )
    squares = np.square(rows)
    share = ratio(squares[:, missing].sum(axis=1), squares.sum(axis=1))
    return Hedging(feature, missing, coefficient, float(share.mean()) if len(rows) else 0.0)


def latents_per_feature(
    statistics: Statistics, precision: float = 0.5
) -> Float[np.ndarray, " feature"]:
    """Splitting: 2^H(q_j), q_ij in proportion to how often latent i and feature j are on.

    Over latents with at least this precision for j that detect no feature better (by F1):
    a child's latent is precise for the parent too, and is no split of it. 1 is one latent
    per feature, 2 an even split; 0 where no latent qualifies.
    """
    require_range("precision", precision, 0.0, 1.0, "it is a share of the firings")
    precise = ratio(statistics.both_on, statistics.z_on[:, None]) >= precision
    detects = f1(statistics)
    best = detects >= detects.max(axis=1, keepdims=True) - 1e-12
    return perplexity(np.where(precise & best, statistics.both_on, 0).T)
