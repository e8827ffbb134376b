"""Worlds with a name."""

import jax
import jax.numpy as jnp

from synthetic import compensation, correlation, directions, firing
from synthetic.forest import Forest
from synthetic.geometry import orthogonalised
from synthetic.hierarchy import Inherited
from synthetic.magnitude import FoldedNormal, RectifiedNormal
from synthetic.random import key as hash_key
from synthetic.sparse import SparseFeatures
from synthetic.topdown import TopDown


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


def synthsaebench(
    n_features: int,
    d_model: int,
    roots: int,
    seed: int = 42,
    steps: int = 100,
    scaled: bool = True,
) -> SparseFeatures:
    """The recipe of `synthsaebench_16k_v2` at any size.

    Args:
        n_features: at least 85 for each root, the size of its tree.
        d_model: width of the space.
        roots: the number of trees.
        seed: decides directions, factors and deviations.
        steps: of orthogonalisation.
        scaled: whether children are scaled by their parents, as in v2.
    """
    keys = jax.random.split(hash_key(seed), 4)
    forest = Forest.regular(n_features, roots, branching=4, depth=3, exclusive=True)
    wanted = firing.zipf(n_features, 0.5, first=0.4, last=5e-4)
    probability = jnp.asarray(compensation.as_published(wanted, forest), jnp.float32)
    factors = correlation.random_factors(keys[0], n_features, rank=25, scale=0.1)
    mean = jnp.linspace(5.0, 4.0, n_features)
    std = FoldedNormal(0.5, 0.5).from_level(firing.uniform(keys[1], (n_features,)))
    return SparseFeatures(
        directions=orthogonalised(keys[2], n_features, d_model, steps, rate=3e-4),
        firing=TopDown.of(correlation.LowRank(probability, factors), forest),
        magnitude=Inherited(RectifiedNormal(mean, std), forest, mean if scaled else None),
        bias=0.5 * directions.random(keys[3], 1, d_model)[0],
    )
