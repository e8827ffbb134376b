"""Online dictionary learning (Mairal et al. 2009, 2010)."""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from synthetic.directions import unit_rows
from synthetic.validation import require_range
from toymodels.classical.base import (
    Rows,
    W,
    atoms_from_samples,
    replace_unused,
    require_samples,
)
from toymodels.sparse_coding.fista import fista

_UNUSED = 1e-6  # mean square of a code below which a row counts as unused


@struct.dataclass
class OnlineDictionary:
    """Minimises 1/2 ||x - z W_dec||^2 + penalty ||z||_1 over z >= 0 and rows in the ball.

    Each step codes a small batch by FISTA, adds it to the running moments A = sum z^T z
    and B = sum z^T x, in which what came t steps before fades like (1 - 1/t)^forget, and
    makes one pass of block coordinate descent over the rows:
    w_i <- w_i + (B_i - A_i W_dec) / A_ii, shortened to length 1 if it is longer. Rows that
    no code uses become the worst samples of the batch. There is no bias.

    Attributes:
        n_latents: number of atoms; static.
        penalty: of the l1 norm, in units of x; a leaf.
        steps: number of batches, drawn with replacement; a leaf.
        batch_size: samples of a batch; static.
        forget: how fast the first batches, coded with a bad dictionary, fade; a leaf.
        coding_steps: of FISTA; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    penalty: ArrayLike = 0.1
    steps: ArrayLike = 500
    batch_size: int = struct.field(pytree_node=False, default=256)
    forget: ArrayLike = 2.0
    coding_steps: ArrayLike = 100

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("penalty", self.penalty, low=0.0)
        require_range("steps", self.steps, low=1)
        require_range("batch_size", self.batch_size, low=1)

    def fit(self, key, x) -> Rows:
        """Starts from random samples.

        Raises:
            ValueError: fewer samples than latents, or numbers not finite.
        """
        require_samples(x, self.n_latents)
        key_start, key_batches = jax.random.split(key)

        def learn(step, carry):
            W_dec, squares, products = carry
            key_batch = jax.random.fold_in(key_batches, step)
            batch = x[
                jax.random.randint(key_batch, (self.batch_size,), 0, len(x), jnp.int32)
            ]
            z = self.encode(Rows(W_dec), batch)
            t = jnp.asarray(step, x.dtype)
            keep = (t / (t + 1)) ** jnp.asarray(self.forget, x.dtype)
            squares = keep * squares + z.T @ z / self.batch_size
            products = keep * products + z.T @ batch / self.batch_size
            moved = descend(W_dec, squares, products)
            used = jnp.diagonal(squares) > _UNUSED
            moved = replace_unused(moved, used, batch, z @ W_dec)
            return moved, squares, products

        n, d_model = self.n_latents, x.shape[1]
        start = atoms_from_samples(key_start, x, n)
        moments = jnp.zeros((n, n), x.dtype), jnp.zeros((n, d_model), x.dtype)
        W_dec, _, _ = lax.fori_loop(0, self.steps, learn, (start, *moments))
        return Rows(unit_rows(W_dec))

    def encode(self, params, x):
        return fista(x, params.W_dec, self.penalty, self.coding_steps)

    def decode(self, params, z):
        return z @ params.W_dec


def descend(
    W_dec: W, squares: Float[Array, "latent latent"], products: Float[Array, "latent d"]
) -> W:
    """One pass over the rows of 1/2 tr(W W^T A) - tr(W B^T), each row within the ball.

    A row whose A_ii is 0 stays.
    """

    def move(i, W_dec):
        square = squares[i, i]
        step = (products[i] - squares[i] @ W_dec) / jnp.where(square > 0, square, 1)
        row = W_dec[i] + jnp.where(square > 0, step, 0)
        row = row / jnp.maximum(jnp.linalg.norm(row), 1)
        return W_dec.at[i].set(row)

    return lax.fori_loop(0, len(W_dec), move, W_dec)
