"""FISTA: the lasso on a given dictionary, by an accelerated proximal gradient."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import ArrayLike

from toymodels.sparse_coding import Atoms, Codes, X
from toymodels.sparse_coding.ista import soft_threshold, step_size


def fista(
    x: X, atoms: Atoms, penalty: ArrayLike, steps: ArrayLike = 200, nonnegative: bool = True
) -> Codes:
    """argmin_a 1/2 ||x - a D||^2 + penalty ||a||_1, to within O(1 / steps^2).

    The accelerated proximal gradient of Beck & Teboulle (2009), its step 1 / ||D||_2^2
    from 30 power iterations. For orthonormal D the answer is a soft threshold,
    max(x . d_j - penalty, 0).

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

    def advance(_, carry):
        a, ahead, t = carry
        slope = jnp.matmul(ahead, gram, precision=lax.Precision.HIGHEST) - target
        a_next = soft_threshold(ahead - step * slope, step * penalty, nonnegative)
        t_next = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
        return a_next, a_next + (t - 1) / t_next * (a_next - a), t_next

    zero = jnp.zeros_like(target)
    return lax.fori_loop(0, steps, advance, (zero, zero, jnp.ones((), target.dtype)))[0]
