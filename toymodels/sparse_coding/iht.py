"""Iterative hard thresholding: the k largest codes after each gradient step."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import ArrayLike

from toymodels.sparse_coding import Atoms, Codes, X
from toymodels.sparse_coding.ista import step_size
from toymodels.sparse_coding.select import keep_k


def iht(
    x: X, atoms: Atoms, k: ArrayLike, steps: ArrayLike = 200, nonnegative: bool = True
) -> Codes:
    """A local minimum of ||x - a D||^2 over codes with at most k entries.

    a <- H_k(a + step (x - a D) D^T), where H_k keeps the k largest, from a = 0 with step
    1 / ||D||_2^2, at which the error never rises (Blumensath & Davies 2008). For
    orthonormal D the answer is the k largest projections.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary D, rows.
        k: how many entries stay; may be traced.
        steps: iterations; a leaf.
        nonnegative: a >= 0 as well; otherwise the largest in size stay.
    """
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    step = step_size(gram)
    target = jnp.matmul(x, atoms.T, precision=lax.Precision.HIGHEST)

    def advance(_, a):
        slope = jnp.matmul(a, gram, precision=lax.Precision.HIGHEST) - target
        moved = a - step * slope
        if nonnegative:
            return keep_k(jnp.maximum(moved, 0), k)
        return jnp.sign(moved) * keep_k(jnp.abs(moved), k)

    return lax.fori_loop(0, steps, advance, jnp.zeros_like(target))
