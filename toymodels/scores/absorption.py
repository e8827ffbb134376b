"""Absorption, exact from the known hierarchy.

Absorption comes from sparsity, needs a hierarchy, and sets encoder against decoder: the
parent's latent is silent where a child is on, and the child's row has the parent in it
(Chanin et al., arXiv 2409.14507). Hedging comes from reconstruction, needs a correlation
with a feature that has no latent, and shows in encoder and decoder alike (arXiv
2505.11756). A hierarchy is an array `parents` [feature]: each feature's parent, -1 for a
root; m(j) is the latent matched to feature j.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synthetic.base import Batch
from synthetic.validation import require_range, require_width
from toymodels.scores.matching import Match
from toymodels.scores.mixing import Mixing
from toymodels.scores.statistics import Numbers


class Watched(NamedTuple):
    """What to count, fixed before the pass.

    Attributes:
        child: [edge], features that have a parent.
        family: [edge], where in `parent` each child's parent is.
        parent: [family], features that have children.
        latent: [family], the latent matched to the parent.
        mixing: [latent, family], how much of the parent each decoder row holds.
    """

    child: Numbers
    family: Numbers
    parent: Numbers
    latent: Numbers
    mixing: Numbers


class Sums(NamedTuple):
    """Plain sums over samples, so blocks add (`ranking.add`).

    Attributes:
        on, quiet: [family], the parent present; and its latent off.
        alone, alone_quiet: [family], the same with no child present.
        child_on, child_quiet: [edge], the same with this child present.
        own, others: [edge], with this child present: how much of the parent its own latent
            supplies to x_hat, and how much all others, negative amounts counting 0.
    """

    on: Numbers
    quiet: Numbers
    alone: Numbers
    alone_quiet: Numbers
    child_on: Numbers
    child_quiet: Numbers
    own: Numbers
    others: Numbers


def watch(
    parents: Int[Array | np.ndarray, " feature"], pairs: Match, mixing: Mixing
) -> Watched:
    """The edges whose parent is matched at a positive similarity.

    An unmatched parent is missing, not absorbed; its edges are left out.
    """
    parents = np.asarray(parents)
    n_features = mixing.shape[1]
    fix = "give every feature a parent, -1 for a root"
    require_width("the length of parents", len(parents), n_features, fix)
    require_range("parents", parents, -1, n_features - 1, "they are indices of features")
    latent = np.full(n_features, -1)
    kept = pairs.value > 0
    latent[pairs.feature[kept]] = pairs.latent[kept]
    child = np.flatnonzero(parents >= 0)
    child = child[latent[parents[child]] >= 0]
    parent, family = np.unique(parents[child], return_inverse=True)
    return Watched(child, family, parent, latent[parent], mixing[:, parent])


def count(watched: Watched, batch: Batch, z: Float[Array, "batch latent"]) -> Sums:
    """The sums of one block."""
    n_families = len(watched.parent)
    parent_on = batch.features[:, watched.parent] != 0
    child_on = (batch.features[:, watched.child] != 0) & parent_on[:, watched.family]
    quiet = z[:, watched.latent] == 0
    children = jax.ops.segment_max(child_on.T, watched.family, n_families).T
    alone = parent_on & ~children
    own = z[:, watched.latent] * watched.mixing[watched.latent, jnp.arange(n_families)]
    others = jnp.maximum(z @ watched.mixing - own, 0)[:, watched.family]
    own = jnp.maximum(own, 0)[:, watched.family]

    def total(chosen):
        return chosen.sum(0, dtype=jnp.float32)

    return Sums(
        total(parent_on),
        total(parent_on & quiet),
        total(alone),
        total(alone & quiet),
        total(child_on),
        total(child_on & quiet[:, watched.family]),
        jnp.where(child_on, own, 0).sum(0),
        jnp.where(child_on, others, 0).sum(0),
    )


class Absorption(NamedTuple):
    """One value per edge; NaN where the samples it needs never came.

    Attributes:
        child, parent: the features of the edge.
        gap: P(m(p) off | child on) - P(m(p) off | p on, no child on).
        gap_of_child: P(m(p) on | p on, this child off) - P(m(p) on | p on, child on), as
            SAELens' issue 729 has it. It needs no samples of the parent alone.
        mass: of what x_hat has of the parent when the child is on, the share that comes
            from other latents.

    All are 0 for the truth and 1 for full absorption. A latent that fires independently of
    everything has gaps of 0, so read them next to recall.
    """

    child: Int[np.ndarray, " edge"]
    parent: Int[np.ndarray, " edge"]
    gap: Float[np.ndarray, " edge"]
    gap_of_child: Float[np.ndarray, " edge"]
    mass: Float[np.ndarray, " edge"]


def absorption(watched: Watched, sums: Sums) -> Absorption:
    """How far each child has taken over its parent's latent."""
    family = np.asarray(watched.family)
    with_child = _share(sums.child_quiet, sums.child_on)
    alone = _share(sums.alone_quiet, sums.alone)[family]
    without = _share(
        np.asarray(sums.quiet)[family] - sums.child_quiet,
        np.asarray(sums.on)[family] - sums.child_on,
    )
    return Absorption(
        np.asarray(watched.child),
        np.asarray(watched.parent)[family],
        with_child - alone,
        with_child - without,
        _share(sums.others, sums.own + sums.others),
    )


def _share(part: Numbers, whole: Numbers) -> np.ndarray:
    return np.asarray(part) / np.where(np.asarray(whole) > 0, whole, np.nan)


def mean(values: Float[np.ndarray, " item"]) -> float:
    """The mean over what is known; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


class Mechanism(NamedTuple):
    """What absorption does to the weights, per edge whose two features are matched.

    Attributes:
        child, parent: the features of the edge.
        decoder: M^dec[m(c), p] / M^dec[m(c), c]; positive where c's row holds its parent.
        encoder: M^enc[m(p), c] / M^enc[m(p), p]; negative where c silences p's latent.
            Both positive and alike is hedging.
    """

    child: Int[np.ndarray, " edge"]
    parent: Int[np.ndarray, " edge"]
    decoder: Float[np.ndarray, " edge"]
    encoder: Float[np.ndarray, " edge"]


def mechanism(
    parents: Int[Array | np.ndarray, " feature"],
    pairs: Match,
    decoder: Mixing,
    encoder: Mixing,
) -> Mechanism:
    """The two entries of the mixing matrices that tell absorption from hedging."""
    parents = np.asarray(parents)
    latent = np.full(len(parents), -1)
    latent[pairs.feature] = pairs.latent
    child = np.flatnonzero((parents >= 0) & (latent >= 0))
    child = child[latent[parents[child]] >= 0]
    parent = parents[child]
    of_child, of_parent = latent[child], latent[parent]
    return Mechanism(
        child,
        parent,
        ratio_to_own(decoder[of_child, parent], decoder[of_child, child]),
        ratio_to_own(encoder[of_parent, child], encoder[of_parent, parent]),
    )


def ratio_to_own(part: np.ndarray, own: np.ndarray) -> np.ndarray:
    """part / own, NaN where `own` is 0."""
    return part / np.where(own != 0, own, np.nan)
