"""One-to-one matching of latents and features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment


class Match(NamedTuple):
    """min(latents, features) pairs.

    Attributes:
        latent: which latent each pair holds.
        feature: which feature; ascending.
        value: the similarity of the pair.
    """

    latent: Int[np.ndarray, " pair"]
    feature: Int[np.ndarray, " pair"]
    value: Float[np.ndarray, " pair"]


def one_to_one(similarity: Float[np.ndarray, "latent feature"]) -> Match:
    """The assignment with the largest total similarity (Kuhn 1955; Jonker-Volgenant)."""
    if not np.isfinite(similarity).all():
        raise ValueError(
            "the similarity matrix holds NaN or infinite values, expected finite numbers; "
            "look for NaN in the decoder"
        )
    latent, feature = linear_sum_assignment(similarity, maximize=True)
    order = np.argsort(feature)
    latent, feature = latent[order], feature[order]
    return Match(latent, feature, similarity[latent, feature])
