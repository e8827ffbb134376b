"""K-SVD in its non-negative form (Aharon, Elad & Bruckstein 2005, 2006)."""

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float

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

_TURNS = 10  # of the two halves of a rank-one fit; they start from the atom before


@struct.dataclass
class KSVD:
    """Minimises ||x - z W_dec||^2 over unit rows and codes z >= 0 with at most k entries.

    In turn: codes by non-negative orthogonal matching pursuit, then one atom after the
    other together with its codes: the best rank-one fit to what the others leave of the
    samples that use it. Rows that no sample uses become the samples that are reconstructed
    worst. There is no bias.

    Attributes:
        n_latents: number of atoms; static.
        k: atoms of a sample; static, it sets the size of a least-squares problem.
        steps: iterations; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: int = struct.field(pytree_node=False, default=4)
    steps: ArrayLike = 50

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
            used = jnp.any(z > 0, axis=0)
            z, W_dec = update_atoms(x, z, W_dec)
            return replace_unused(W_dec, used, x, z @ W_dec)

        start = atoms_from_samples(key, x, self.n_latents)
        return Rows(lax.fori_loop(0, self.steps, improve, start))

    def encode(self, params, x):
        count = jnp.full(x.shape[0], self.k)
        return nonnegative_omp(x, params.W_dec, count, self.k)

    def decode(self, params, z):
        return z @ params.W_dec


def update_atoms(x: X, z: Z, W_dec: W) -> tuple[Z, W]:
    """Every atom in turn with its codes, on its samples; the error never rises."""

    def update(i, carry):
        z, W_dec, left = carry
        on = z[:, i, None] > 0
        rest = jnp.where(on, left + z[:, i, None] * W_dec[i], 0)
        size, row = rank_one(rest, W_dec[i])
        left = jnp.where(on, rest - size[:, None] * row, left)
        return z.at[:, i].set(size), W_dec.at[i].set(row), left

    z, W_dec, _ = lax.fori_loop(0, len(W_dec), update, (z, W_dec, x - z @ W_dec))
    return z, W_dec


def rank_one(x: X, row: Float[Array, " d_model"]):
    """argmin ||x - s w||^2 over s >= 0 and a unit row w, in turn, from `row` on.

    Without the sign it is the first pair of singular vectors. All of `row` stays where it
    has no positive product with any sample.
    """

    def turn(_, row):
        size = jnp.maximum(x @ row, 0)
        moved = unit_rows(size @ x)
        return jnp.where(size.max() > 0, moved, row)

    row = lax.fori_loop(0, _TURNS, turn, row)
    return jnp.maximum(x @ row, 0), row
