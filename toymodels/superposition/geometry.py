"""How features share the hidden dimensions: norms, dimensionality, polytopes.

Everything here is a function of the rows W_i alone, [feature, hidden].
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from synthetic.directions import unit_rows

Rows = Float[Array, "feature hidden"]


def feature_norms(W: Rows) -> Float[Array, " feature"]:
    """||W_i||: about 1 for a represented feature, 0 for a dropped one."""
    return jnp.linalg.norm(W, axis=-1)


def gram(W: Rows) -> Float[Array, "feature feature"]:
    """W W^T: norms on the diagonal, interference off it. (W^T W in the paper.)"""
    return W @ W.swapaxes(-1, -2)


def feature_superposition(W: Rows) -> Float[Array, " feature"]:
    """sum_{j != i} (W_i/||W_i|| . W_j)^2: how far others reach into feature i's direction.

    0 for an orthogonal feature, 1 and more for one that shares its dimension (Elhage et al.
    2022, the colour of their bars); 0 for a zero row.
    """
    projections = jnp.square(unit_rows(W) @ W.swapaxes(-1, -2))
    own = jnp.diagonal(projections, axis1=-2, axis2=-1)
    return jnp.sum(projections, axis=-1) - own


def dimensionality(W: Rows) -> Float[Array, " feature"]:
    """D_i = ||W_i||^2 / sum_j (W_i/||W_i|| . W_j)^2, j = i included; 0 for a zero row.

    1 is a dimension of its own, 1/2 an antipodal pair, 2/5 a pentagon. The sum over i is
    at most n_hidden, and equal to it for tight frames and orthogonal unions of them.

    It is also a feature's capacity, (W_i . W_i)^2 / sum_j (W_i . W_j)^2 (Scherlis et al.
    2022, arXiv 2210.01892): the same number, both sides multiplied by ||W_i||^2.
    """
    norm_squared = jnp.sum(jnp.square(W), axis=-1)
    projections = unit_rows(W) @ W.swapaxes(-1, -2)
    shared = jnp.sum(jnp.square(projections), axis=-1)
    return norm_squared / jnp.where(shared > 0, shared, 1)


def dimensions_per_feature(W: Rows) -> Float[Array, ""]:
    """D* = n_hidden / ||W||_F^2."""
    return W.shape[-1] / jnp.sum(jnp.square(W), axis=(-2, -1))
