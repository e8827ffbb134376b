"""ISTA: the lasso on a given dictionary, by proximal gradient steps."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from toymodels.sparse_coding import Atoms, Codes, X

Gram = Float[Array, "atom atom"]


def ista(
    x: X, atoms: Atoms, penalty: ArrayLike, steps: ArrayLike = 200, nonnegative: bool = True
) -> Codes:
    """argmin_a 1/2 ||x - a D||^2 + penalty ||a||_1, to within O(1 / steps).

    a <- S(a + step (x - a D) D^T) with the soft threshold S (Daubechies et al. 2004). The
    objective falls at every step; `fista` gets there in far fewer.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary D, rows.
        penalty: of the l1 norm; a leaf.
        steps: iterations; a leaf.
        nonnegative: a >= 0 as well.
    """
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    step = step_size(gram)
    target = jnp.matmul(x, atoms.T, precision=lax.Precision.HIGHEST)

    def advance(_, a):
        slope = jnp.matmul(a, gram, precision=lax.Precision.HIGHEST) - target
        return soft_threshold(a - step * slope, step * penalty, nonnegative)

    return lax.fori_loop(0, steps, advance, jnp.zeros_like(target))


def soft_threshold(a: Codes, by: ArrayLike, nonnegative: bool) -> Codes:
    """sign(a) max(|a| - by, 0), or max(a - by, 0) for codes that are never negative."""
    size = jnp.maximum(jnp.abs(a) - by, 0)
    return jnp.where(a > 0, size, 0 if nonnegative else -size)


def step_size(gram: Gram) -> Float[Array, ""]:
    """1 / ||D||_2^2 from 30 power iterations on D D^T, with 5 % to spare."""
    start = jnp.full(gram.shape[0], gram.shape[0] ** -0.5, gram.dtype)
    v = lax.fori_loop(0, 30, lambda _, v: _unit(gram @ (v + 1e-6 * start)), start)
    return 1 / jnp.maximum(1.05 * jnp.vdot(v, gram @ v), 1e-12)


def _unit(v: Float[Array, " atom"]) -> Float[Array, " atom"]:
    return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)
