"""Do seeds agree? Dictionaries matched with each other; no truth is needed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from synthetic.validation import require_range
from toymodels.scores.geometry import cosines, mcc_dec


def pairwise_mcc(
    dictionaries: Sequence[Float[Array | np.ndarray, "latent d_model"]],
    absolute: bool = False,
) -> Float[np.ndarray, "seed seed"]:
    """`mcc_dec` between every two dictionaries; symmetric, with ones on the diagonal."""
    count = len(dictionaries)
    fix = "consistency is between seeds"
    require_range("the number of dictionaries", count, low=2, fix=fix)
    table = np.eye(count)
    for i in range(count):
        for j in range(i):
            cosine = cosines(dictionaries[i], dictionaries[j], absolute)
            table[i, j] = table[j, i] = mcc_dec(cosine)
    return table


def seed_consistency(pairwise: Float[np.ndarray, "seed seed"]) -> float:
    """PW-MCC: the mean of the table off its diagonal (Song et al., arXiv 2505.20254).

    Ceiling 1: all seeds found one dictionary, right or wrong. Floor: `mcc_dec` of two
    random dictionaries of that shape, `geometry.chance_mcc_dec`.
    """
    count = len(pairwise)
    return float((pairwise.sum() - np.trace(pairwise)) / (count * (count - 1)))


def jackknife_error(pairwise: Float[np.ndarray, "seed seed"]) -> float:
    """The standard error of `seed_consistency`, leaving out one seed at a time.

    sqrt((s - 1) / s * sum_i (m_i - mean m)^2). The pairs share seeds, so the deviation of
    the pairs themselves would claim too much.
    """
    count = len(pairwise)
    require_range("the number of seeds", count, low=3, fix="two seeds are one pair")
    left = [
        seed_consistency(np.delete(np.delete(pairwise, i, axis=0), i, axis=1))
        for i in range(count)
    ]
    return float(np.sqrt((count - 1) * np.var(left)))
