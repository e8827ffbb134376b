"""OrtSAE: a penalty on decoder rows that point the same way.

Korznikov et al. 2025, "OrtSAE: Orthogonal Sparse Autoencoders Uncover Atomic Features"
(arXiv 2509.22033).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int

from synthetic.directions import unit_rows
from synthetic.validation import require_range
from toymodels.sae.base import Dictionary


@struct.dataclass
class OrtSAE:
    r"""Any variant with weight * mean_i max_{j != i} relu(cos(W_dec_i, W_dec_j))^2 added.

    The source has it on BatchTopK. Absorbed and composed latents share directions, so
    fewer of them remain; reconstruction gets slightly worse. The largest cosine of a row is
    looked for within its chunk, so that the cost grows with the dictionary and not with
    its square; chunks are drawn anew after every step. Rows that do not fill a last chunk
    sit out one step.

    Params are those of `inner`, and so are the codes.

    Attributes:
        inner: the variant whose loss it adds to.
        weight: of the penalty, in units of the squared error; a leaf. (The source's value
            belongs to a normalised error and was not at hand: sweep it.)
        n_chunks: how many, at most half the latents; static.
    """

    inner: Dictionary
    weight: ArrayLike = 0.25
    n_chunks: int = struct.field(pytree_node=False, default=1)

    def __post_init__(self):
        require_range("weight", self.weight, low=0.0)
        # Under `vmap` the inner variant may be a placeholder for a moment.
        if hasattr(self.inner, "n_latents"):
            most = self.inner.n_latents // 2
            require_range("n_chunks", self.n_chunks, 1, most, "two rows make a pair")

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        """The inner memory and the order in which rows are dealt to chunks."""
        return self.inner.memory(params), jnp.arange(self.n_latents, dtype=jnp.int32)

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        inner, order = memory
        value, outcome = self.inner.loss(params, x, inner, step)
        penalty = largest_cosines(params.W_dec, order, self.n_chunks)
        metrics = outcome.metrics | {"orthogonality": penalty}
        outcome = outcome._replace(metrics=metrics, memory=(outcome.memory, order))
        return value + self.weight * penalty, outcome

    def after(self, key, state, x):
        """What `inner` does after a step, and the chunks of the next."""
        key_inner, key_order = jax.random.split(key)
        inner, _ = state.memory
        moved = self.inner.after(key_inner, replace(state, memory=inner), x)
        order = jax.random.permutation(key_order, self.n_latents).astype(jnp.int32)
        return replace(moved, memory=(moved.memory, order))


def largest_cosines(
    W_dec: Float[Array, "latent d_model"], order: Int[Array, " latent"], n_chunks: int
) -> Float[Array, ""]:
    """mean_i max_{j != i} relu(cos_ij)^2, each chunk a run of equal length in `order`."""
    size = len(order) // n_chunks
    rows = unit_rows(W_dec)[order[: size * n_chunks]].reshape(n_chunks, size, -1)
    cosine = jax.nn.relu(rows @ jnp.swapaxes(rows, 1, 2)) * (
        1 - jnp.eye(size, dtype=rows.dtype)
    )
    return jnp.mean(jnp.square(jnp.max(cosine, axis=-1)))
