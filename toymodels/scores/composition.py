"""Latents that mean "both": on for two features together and for neither alone."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synthetic.base import Batch
from synthetic.validation import require_range
from toymodels.scores.mixing import Mixing
from toymodels.scores.statistics import Numbers


class Sums(NamedTuple):
    """Plain sums over samples, so blocks add (`ranking.add`); [case, latent].

    The cases: both of the latent's two features, the first only, the second only.

    Attributes:
        seen: how often the case came.
        fired: how often the latent was on then.
    """

    seen: Numbers
    fired: Numbers


def two_largest(mixing: Mixing) -> np.ndarray:
    """[latent, 2]: the two features that most of each decoder row is made of."""
    fix = "a conjunction has two"
    require_range("the number of features", mixing.shape[1], low=2, fix=fix)
    return np.argsort(-np.abs(mixing), axis=1, kind="stable")[:, :2]


def count(features: Numbers, batch: Batch, z: Float[Array, "batch latent"]) -> Sums:
    """The sums of one block; `features` [latent, 2] as from `two_largest`."""
    first, second = (batch.features[:, features[:, i]] != 0 for i in (0, 1))
    cases = jnp.stack([first & second, first & ~second, second & ~first])
    return Sums(
        cases.sum(1, dtype=jnp.float32), (cases & (z != 0)).sum(1, dtype=jnp.float32)
    )


def conjunction(sums: Sums) -> Float[np.ndarray, " latent"]:
    """P(on | both) - max(P(on | first only), P(on | second only)).

    1 for a latent of the pair, 0 for a latent of one of them or of either; NaN where a
    case never came.
    """
    rate = np.asarray(sums.fired) / np.where(np.asarray(sums.seen) > 0, sums.seen, np.nan)
    return rate[0] - np.maximum(rate[1], rate[2])
