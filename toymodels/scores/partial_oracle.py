"""Ceilings for dictionaries with fewer latents than the world has features.

Perfect codes of some of the features, with true or with hedged directions. Between two
ceilings lies what a decoder can gain by leaning its rows towards features that have no
latent: more explained variance, less truth. No codes that are right can reach more than the
hedged one; a dictionary above it fits interference.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from synthetic.base import Batch
from synthetic.hierarchy.rates import firing_rate, mean_magnitude
from synthetic.sparse import SparseFeatures
from synthetic.validation import require_range

Chosen = Int[np.ndarray, " latent"]


class Partial(NamedTuple):
    """Perfect codes of the chosen features.

    Attributes:
        chosen: [latent], the feature of each latent.
        W_dec: [latent, d_model].
        bias: [d_model], the mean of what they leave over.
    """

    chosen: Array | np.ndarray
    W_dec: Array | np.ndarray
    bias: Array | np.ndarray

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        """The true values of the chosen features, and their reconstruction."""
        z = batch.features[:, self.chosen]
        return z, z @ self.W_dec + self.bias


def most_frequent(world: SparseFeatures, n_latents: int) -> Chosen:
    """The features that are present most often, most frequent first."""
    fix = "a latent without a feature has no perfect code"
    require_range("n_latents", n_latents, 1, world.n_features, fix)
    return np.argsort(-firing_rate(world.firing), kind="stable")[:n_latents]


def partial_oracle(
    world: SparseFeatures,
    chosen: Chosen,
    example: Batch,
    W_dec: Float[Array | np.ndarray, "latent d_model"] | None = None,
) -> Partial:
    """Perfect codes with the true directions, or with the rows of `W_dec`.

    `example` gives the bias.
    """
    rows = np.asarray(world.directions)[chosen] if W_dec is None else np.asarray(W_dec)
    bias = (example.x - example.features[:, chosen] @ rows).mean(0)
    return Partial(chosen, rows, bias)


def hedged_directions(
    world: SparseFeatures, chosen: Chosen
) -> Float[np.ndarray, "latent d_model"]:
    """w_p = d_p + sum_c P(c | p) (mu_c / mu_p) d_c over descendants c without a latent.

    Each such c counts for its nearest ancestor p that has a latent: while p is on, c is
    worth P(c | p) mu_c on average, and the error falls when p's row supplies it. mu are
    mean magnitudes; where a child grows with its parent (`Inherited.scale_by`) the factors
    along the branch multiply. For features that are independent otherwise this is the
    least-squares decoder for perfect codes. Without a hierarchy: the true directions.
    """
    rows = np.array(world.directions, np.float64)
    parents = np.asarray(world.parents)
    rate = firing_rate(world.firing)
    size = mean_magnitude(world.magnitude, world.n_features)
    scale = getattr(world.magnitude, "scale_by", None)
    has_latent = np.zeros(world.n_features, bool)
    has_latent[chosen] = True
    hedged = rows.copy()
    for child in np.flatnonzero(~has_latent & (parents >= 0) & (rate > 0)):
        ancestor, above = int(child), [int(child)]
        while not has_latent[ancestor] and parents[ancestor] >= 0:
            ancestor = int(parents[ancestor])
            above.append(ancestor)
        if has_latent[ancestor]:
            share = rate[child] / rate[ancestor]
            grows = _relative_size(above, size, scale)
            hedged[ancestor] += share * grows * rows[child]
    return hedged[chosen].astype(np.float32)


def _relative_size(branch: list[int], size: np.ndarray, scale: Array | None) -> float:
    """The mean value of a branch's first feature over that of its last, while both are on.

    With scales, value_c = own_c value_parent / scale_parent on every step up.
    """
    if scale is None:
        return float(size[branch[0]] / size[branch[-1]])
    factors = size[branch[:-1]] / np.asarray(scale)[branch[1:]]
    return float(factors.prod())
