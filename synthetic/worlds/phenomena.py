"""Small worlds on which one failure of dictionaries is seen alone.

Directions are orthonormal but for `crowded`, so that nothing interferes: whatever a
dictionary mixes, it mixes for the sake of its loss.
"""

import jax
import jax.numpy as jnp
import numpy as np

from synthetic import directions, firing
from synthetic.firing import correlation
from synthetic.hierarchy import Gated, compensation
from synthetic.hierarchy.forest import Forest
from synthetic.magnitude import RectifiedNormal
from synthetic.random import key as hash_key
from synthetic.sparse import SparseFeatures


def five_correlated(with_first: float = 0.4, seed: int = 0) -> SparseFeatures:
    """Five features in 20 dimensions, two of them present on average.

    Each fires with probability 0.4, at magnitudes N(1, 0.15^2). Under the copula, features
    1 to 4 have the correlation `with_first` with feature 0 and none with each other. With
    fewer than two latents on, dictionaries mix feature 0 into the others, with the sign of
    the correlation (Chanin & Garriga-Alonso, Sparse but Wrong, arXiv 2508.16560).

    Args:
        with_first: within +-0.5, beyond which no features correlate like this.
        seed: decides the directions.
    """
    matrix = np.eye(5)
    matrix[0, 1:] = matrix[1:, 0] = with_first
    return SparseFeatures(
        directions.orthogonal(hash_key(seed), 5, 20),
        correlation.Copula.of_correlation(firing.constant(5, 0.4), matrix),
        RectifiedNormal(1.0, 0.15),
    )


def fifty_correlated(seed: int = 42) -> SparseFeatures:
    """Fifty features in 100 dimensions, 10.95 of them present on average.

    Probabilities fall evenly from 0.388 to 0.05; magnitudes are N(1, 0.15^2). Seven pairs
    in ten are given a correlation, of size 0.3 to 0.9 and either sign, before the nearest
    correlation matrix is taken: then their mean size is about 0.13 (arXiv 2508.16560, its
    larger toy model).

    Args:
        seed: decides directions and correlations. 42 is the published one, of another
            generator.
    """
    key_rows, key_pairs = jax.random.split(hash_key(seed))
    matrix = correlation.random_correlation(key_pairs, 50, low=0.3, high=0.9)
    return SparseFeatures(
        directions.orthogonal(key_rows, 50, 100),
        correlation.Copula.of_correlation(firing.linear(50, 0.3881, 0.05), matrix),
        RectifiedNormal(1.0, 0.15),
    )


def tree_of_twenty(seed: int = 0) -> SparseFeatures:
    """Three parents with three children each, and eight features alone, in 20 dimensions.

    Features 0 to 2 are the parents and fire with probability 0.15; with a parent comes
    one of its three children (3 to 11) with probability 0.2 each, and none with 0.4. The
    others (12 to 19) fire with probability 0.05. 1.12 features are present on average;
    magnitudes are N(1, 0.05^2). (Nabeshima 2024, the toy model of Matryoshka SAEs.)

    Args:
        seed: decides the directions.
    """
    parents = [-1] * 3 + [i // 3 for i in range(9)] + [-1] * 8
    forest = Forest.of(parents, exclusive=True)
    wanted = np.repeat([0.15, 0.15 * 0.2, 0.05], [3, 9, 8])
    probability = compensation.exact(wanted, forest)
    return SparseFeatures(
        directions.orthogonal(hash_key(seed), 20, 20),
        Gated(firing.Independent(jnp.asarray(probability, jnp.float32)), forest),
        RectifiedNormal(1.0, 0.05),
    )


def crowded(seed: int = 0) -> SparseFeatures:
    """64 independent features in 24 dimensions, three of them present on average.

    Directions are random, with cosines up to about 0.6. Magnitudes are N(1, 0.15^2).
    Nothing is tied to anything, so that only interference stands between a dictionary and
    the truth.

    Args:
        seed: decides the directions.
    """
    return SparseFeatures(
        directions.random(hash_key(seed), 64, 24),
        firing.Independent(firing.constant(64, 3 / 64)),
        RectifiedNormal(1.0, 0.15),
    )
