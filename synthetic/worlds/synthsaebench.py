"""Worlds with a name."""

import jax
import jax.numpy as jnp

from synthetic import directions, firing
from synthetic.firing import correlation
from synthetic.firing.active import Events, slots_for
from synthetic.geometry import orthogonalised
from synthetic.hierarchy import Inherited, compensation
from synthetic.hierarchy.forest import Forest
from synthetic.hierarchy.topdown import TopDown
from synthetic.magnitude import FoldedNormal, LogNormal, RectifiedNormal, Signed
from synthetic.random import key as hash_key
from synthetic.sparse import SparseFeatures

_N, _D, _ACTIVE = 16_384, 768, 34.5
_PARTS = (1, 2, 4, 8, 16)
_SINGLE = 4 / 34.5  # the share of those active that stand outside all trees


def synthsaebench_16k_v1(seed: int = 42, orthogonalise: bool = True) -> SparseFeatures:
    """SynthSAEBench-16k as it was first uploaded: children are not scaled by parents.

    Everything else is as in `synthsaebench_16k_v2`. Most published results on this
    benchmark after the paper (LISTA-Matryoshka, the full-width sweep, BeFOND) are on v1.
    """
    steps = 100 if orthogonalise else 0
    return synthsaebench(16_384, 768, 128, seed, steps, scaled=False)


def synthsaebench_16k_v2(seed: int = 42, orthogonalise: bool = True) -> SparseFeatures:
    """SynthSAEBench-16k: 16,384 features in 768 dimensions.

    Configuration (Chanin & Garriga-Alonso, arXiv 2602.14687, and SAELens 6): firing
    probabilities 0.4 to 5e-4, Zipfian with exponent 0.5; 128 trees of branching 4 and
    depth 3 (10,880 features), siblings exclude each other, compensation as published, a
    child scaled by its parent over the parent's mean; magnitudes rectified normal, means
    linear from 5 to 4, deviations |N(0.5, 0.5^2)|; copula of rank 25 and scale 0.1;
    100 steps of orthogonalisation at rate 3e-4; a bias of length 0.5.

    It has the statistics of the published model, about 34.5 active features a sample,
    not its numbers, which come from PyTorch's generator.

    Args:
        seed: decides directions, factors and deviations. 42 is the published one.
        orthogonalise: False leaves the directions random, which saves the better part of
            a minute on a CPU; the mean largest cosine is then 0.1485 instead of 0.1451.
    """
    steps = 100 if orthogonalise else 0
    return synthsaebench(16_384, 768, 128, seed, steps, scaled=True)


def synthsaebench_part(
    part: int = 8, seed: int = 42, scaled: bool = True
) -> SparseFeatures:
    """1 / `part` of SynthSAEBench-16k: of features, dimensions, trees and nominal L0.

    For what has to end in a minute. There are as many features a dimension as there, of
    the same mean frequency (the most frequent one is rarer) and magnitudes, so that they
    interfere about as much. Of an eighth, 2,048 features in 96 dimensions, about 4.1 are
    active in a sample, and perfect codes of the 512 most frequent explain 0.756 of the
    variance (0.762 in the whole), with hedged directions 0.791 (0.794).

    The sum of the nominal probabilities is 1 / `part` of the whole's. What is left of it
    behind the hierarchies, the mean L0, is 1 / `part` of the whole's to 1 % up to a part of
    4, 0.96 of that at 8 and 0.92 at 16. Smaller worlds, which fall to two thirds, are
    refused: siblings exclude each other, so that no level of a tree is on more often than
    its root, and roots get rarer from part to part.

    Args:
        part: 1, 2, 4, 8 or 16.
        seed: decides directions, factors and deviations.
        scaled: whether children are scaled by their parents, as in v2.

    Raises:
        ValueError: `part` is another number.
    """
    if part not in _PARTS:
        raise ValueError(
            f"part is {part}, expected one of {', '.join(map(str, _PARTS))}; smaller "
            "worlds do not keep the mean L0, make one with `synthsaebench` and set `first`"
        )
    n_features = _N // part
    whole = jnp.sum(firing.zipf(_N, 0.5, first=0.4, last=5e-4))
    share = firing.zipf(n_features, 0.5, first=1.0, last=0.0)
    first = 5e-4 + float((whole / part - 5e-4 * n_features) / jnp.sum(share))
    return synthsaebench(n_features, _D // part, 128 // part, seed, 100, scaled, first)


def held_out_independent(seed: int = 0, part: int = 1) -> SparseFeatures:
    """For tests of generalisation: independent features, log-uniform frequencies.

    16,384 features in 768 dimensions and 34.5 active ones a sample on average, as all
    held-out worlds; 1 / `part` of each, where that is given. Magnitudes are rectified
    normal, of mean 4.5 and deviation 0.6.
    """
    keys = jax.random.split(hash_key(seed), 2)
    n_features, d_model, active = _N // part, _D // part, _ACTIVE / part
    shape = firing.log_uniform(keys[0], n_features, 1e-4, 0.1)
    probability = shape * (active / jnp.sum(shape))
    return SparseFeatures(
        directions.random(keys[1], n_features, d_model),
        Events(probability, slots_for(probability)),
        RectifiedNormal(4.5, 0.6),
    )


def held_out_correlated(seed: int = 0, part: int = 1) -> SparseFeatures:
    """For tests of generalisation: strong correlation of few sources, heavy tails.

    A copula of rank 8 and scale 0.2, no hierarchy; log-normal magnitudes of median 4 and
    spread 0.5. Frequencies fall from 0.2, Zipfian with exponent 0.5.
    """
    keys = jax.random.split(hash_key(seed), 2)
    n_features, d_model, active = _N // part, _D // part, _ACTIVE / part
    shape = firing.zipf(n_features, 0.5, first=0.4, last=5e-4)
    probability = shape * (active / jnp.sum(shape))
    law = correlation.LowRank(
        probability, correlation.random_factors(keys[0], n_features, rank=8, scale=0.2)
    )
    return SparseFeatures(
        directions.random(keys[1], n_features, d_model),
        TopDown.of(law, Forest.of([-1] * n_features)),
        LogNormal(4.0, 0.5),
    )


def held_out_deep_trees(seed: int = 0, part: int = 1) -> SparseFeatures:
    """For tests of generalisation: deep narrow trees with exact marginals.

    A tree of branching 2 and depth 6 for every 256 features: 64 trees with 8,128 features
    in all. Of two siblings one fires at most, each with probability 0.4 given its parent,
    so that a parent is alone in a fifth of its samples. Magnitudes as in
    `held_out_independent`; children are not scaled.
    """
    keys = jax.random.split(hash_key(seed), 2)
    n_features, d_model, active = _N // part, _D // part, _ACTIVE / part
    roots = n_features // 256
    forest = Forest.regular(n_features, roots, branching=2, depth=6, exclusive=True)
    inside = (forest.parents >= 0) | (forest.group >= 0)
    levels = sum(0.8**level for level in range(7))
    root = (1 - _SINGLE) * active / (roots * levels)
    in_trees = jnp.asarray(root * 0.4 ** forest.level(), jnp.float32)
    alone = _SINGLE * active / jnp.sum(~inside, dtype=jnp.float32)
    wanted = jnp.where(inside, in_trees, alone)
    probability = jnp.asarray(compensation.exact(wanted, forest), jnp.float32)
    return SparseFeatures(
        directions.random(keys[1], n_features, d_model),
        TopDown.of(firing.Independent(probability), forest),
        Inherited(RectifiedNormal(4.5, 0.6), forest),
    )


def held_out_signed(seed: int = 0, part: int = 1) -> SparseFeatures:
    """For tests of generalisation: values of both signs, and noise with structure.

    Independent features, Zipfian frequencies; magnitudes log-normal of median 4 and spread
    0.3, negative in half of the samples. The noise has 32 random directions of deviation
    1, or one for every 24 dimensions.
    """
    keys = jax.random.split(hash_key(seed), 2)
    n_features, d_model, active = _N // part, _D // part, _ACTIVE / part
    shape = firing.zipf(n_features, 0.5, first=0.4, last=5e-4)
    probability = shape * (active / jnp.sum(shape))
    return SparseFeatures(
        directions.random(keys[0], n_features, d_model),
        Events(probability, slots_for(probability)),
        Signed(LogNormal(4.0, 0.3)),
        noise=directions.random(keys[1], d_model // 24, d_model),
    )


def synthsaebench(
    n_features: int,
    d_model: int,
    roots: int,
    seed: int = 42,
    steps: int = 100,
    scaled: bool = True,
    first: float = 0.4,
) -> SparseFeatures:
    """The recipe of `synthsaebench_16k_v2` at any size.

    Args:
        n_features: at least 85 for each root, the size of its tree.
        d_model: width of the space.
        roots: the number of trees.
        seed: decides directions, factors and deviations.
        steps: of orthogonalisation.
        scaled: whether children are scaled by their parents, as in v2.
        first: nominal probability of the most frequent feature.
    """
    keys = jax.random.split(hash_key(seed), 4)
    forest = Forest.regular(n_features, roots, branching=4, depth=3, exclusive=True)
    wanted = firing.zipf(n_features, 0.5, first=first, last=5e-4)
    probability = jnp.asarray(compensation.as_published(wanted, forest), jnp.float32)
    factors = correlation.random_factors(keys[0], n_features, rank=25, scale=0.1)
    mean = jnp.linspace(5.0, 4.0, n_features, dtype=jnp.float32)
    std = FoldedNormal(0.5, 0.5).from_level(firing.uniform(keys[1], (n_features,)))
    return SparseFeatures(
        directions=orthogonalised(keys[2], n_features, d_model, steps, rate=3e-4),
        firing=TopDown.of(correlation.LowRank(probability, factors), forest),
        magnitude=Inherited(RectifiedNormal(mean, std), forest, mean if scaled else None),
        bias=0.5 * directions.random(keys[3], 1, d_model)[0],
    )
