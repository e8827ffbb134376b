"""How a transformer knows the order of its tokens: learned vectors, or rotations."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from synthetic.validation import require_range, require_width


class Learned(nnx.Module):
    """A vector per position, added to the embedding (GPT-2)."""

    def __init__(self, key: Key[Array, ""], n_context: int, d_model: int):
        self.vector = nnx.Param(
            0.02 * jax.random.normal(key, (n_context, d_model), jnp.float32)
        )

    def embed(self, x: Float[Array, "batch token d_model"]) -> Array:
        """x + vector."""
        n_context, n_tokens = self.vector.shape[-2], x.shape[-2]
        fix = "make the model with a larger n_context or give fewer tokens"
        require_range("the number of tokens", n_tokens, 1, n_context, fix)
        return x + self.vector[...][:n_tokens]

    def turn(self, x: Float[Array, "batch token head d_head"]) -> Array:
        """Queries and keys stay as they are."""
        return x


class Rotary(nnx.Module):
    """Rotations of queries and keys (Su et al. 2021, arXiv 2104.09864).

    The pair (x_i, x_{i + d/2}) at position t turns by t base^(-2i / d), so that products
    of queries and keys depend on the distance of their positions alone. It has no weights
    and no longest sequence.
    """

    def __init__(self, base: float = 10_000.0):
        self.base = base

    def embed(self, x: Float[Array, "batch token d_model"]) -> Array:
        """The embedding stays as it is."""
        return x

    def turn(self, x: Float[Array, "batch token head d_head"]) -> Array:
        """Each pair of every head, by its position's angle."""
        fix = "rotations turn pairs of entries: choose another number of heads"
        require_width("d_head modulo 2", x.shape[-1] % 2, 0, fix)
        half = x.shape[-1] // 2
        rate = self.base ** (-jnp.arange(half, dtype=jnp.float32) / half)
        angle = jnp.arange(x.shape[-3])[:, None, None] * rate
        cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
        first, second = x[..., :half], x[..., half:]
        return jnp.concatenate(
            [first * cos - second * sin, first * sin + second * cos], axis=-1
        )
