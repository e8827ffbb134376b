"""Method of optimal directions (Engan et al. 1999)."""

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import ArrayLike

from synthetic.directions import unit_rows
from synthetic.validation import require_range, require_whole
from toymodels.classical.base import (
    Rows,
    W,
    X,
    Z,
    atoms_from_samples,
    replace_unused,
    require_samples,
)
from toymodels.sparse_coding.omp import nonnegative_omp


@struct.dataclass
class MOD:
    """Minimises ||x - z W_dec||^2 over unit rows and codes z >= 0 with at most k entries.

    In turn: codes by non-negative orthogonal matching pursuit, then all rows at once by
    least squares, W_dec = (Z^T Z + ridge I)^-1 Z^T X, scaled to length 1. Rows that no
    sample uses become the samples that are reconstructed worst. There is no bias.

    Attributes:
        n_latents: number of atoms; static.
        k: atoms of a sample; static, it sets the size of a least-squares problem.
        steps: iterations; a leaf.
        ridge: added to Z^T Z / sample; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: int = struct.field(pytree_node=False, default=4)
    steps: ArrayLike = 50
    ridge: ArrayLike = 1e-6

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        fix = "a sample cannot have more latents on than there are"
        require_whole("k", self.k)
        require_range("k", self.k, 1, self.n_latents, fix)
        require_range("steps", self.steps, low=1)

    def fit(self, key, x) -> Rows:
        """Starts from random samples.

        Raises:
            ValueError: fewer samples than latents, or numbers not finite.
        """
        require_samples(x, self.n_latents)

        def improve(_, W_dec):
            z = self.encode(Rows(W_dec), x)
            return replace_unused(
                unit_rows(optimal_directions(x, z, self.ridge)),
                jnp.any(z > 0, axis=0),
                x,
                z @ W_dec,
            )

        start = atoms_from_samples(key, x, self.n_latents)
        return Rows(lax.fori_loop(0, self.steps, improve, start))

    def encode(self, params, x):
        count = jnp.full(x.shape[0], self.k)
        return nonnegative_omp(x, params.W_dec, count, self.k)

    def decode(self, params, z):
        return z @ params.W_dec


def optimal_directions(x: X, z: Z, ridge: ArrayLike) -> W:
    """argmin_W ||X - Z W||^2 / sample + ridge ||W||^2."""
    gram = jnp.matmul(z.T, z, precision=lax.Precision.HIGHEST) / len(x)
    target = jnp.matmul(z.T, x, precision=lax.Precision.HIGHEST) / len(x)
    return jnp.linalg.solve(gram + ridge * jnp.eye(len(gram), dtype=gram.dtype), target)
