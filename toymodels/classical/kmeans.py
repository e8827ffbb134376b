"""k-means: one latent a sample, always with the value 1."""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_range
from toymodels.classical.base import Rows, W, X, require_samples


@struct.dataclass
class KMeans:
    """Minimises ||x - c||^2 with c the nearest of n centres: the rows of W_dec.

    Seeded by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's iterations. z is 1 at
    the nearest centre and 0 elsewhere. A centre that loses all its samples stays.

    Attributes:
        n_latents: number of centres; static.
        steps: iterations; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    steps: ArrayLike = 100

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("steps", self.steps, low=1)

    def fit(self, key, x) -> Rows:
        """Raises ValueError for fewer samples than latents, or numbers not finite."""
        require_samples(x, self.n_latents)

        def move(_, centres):
            z = nearest(x, centres)
            count = z.sum(0)[:, None]
            return jnp.where(count > 0, z.T @ x / jnp.maximum(count, 1), centres)

        return Rows(lax.fori_loop(0, self.steps, move, seeds(key, x, self.n_latents)))

    def encode(self, params, x):
        return nearest(x, params.W_dec)

    def decode(self, params, z):
        return z @ params.W_dec


def nearest(x: X, centres: W) -> Float[Array, "sample latent"]:
    """One row per sample: 1 at the nearest centre."""
    product = jnp.matmul(x, centres.T, precision=lax.Precision.HIGHEST)
    distance = jnp.sum(jnp.square(centres), axis=1) - 2 * product
    return jax.nn.one_hot(jnp.argmin(distance, axis=1), len(centres), dtype=x.dtype)


def seeds(key, x: X, n_latents: int) -> W:
    """Samples drawn one by one, in proportion to the squared distance from those before."""

    def add(i, carry):
        centres, distance = carry
        # Samples on a centre have no chance, unless all are.
        alike = (i == 0) | (distance.max() == 0)
        weight = jnp.where(alike, 0, jnp.log(distance))
        chosen = x[jax.random.categorical(jax.random.fold_in(key, i), weight)]
        centres = centres.at[i].set(chosen)
        return centres, jnp.minimum(distance, jnp.sum(jnp.square(x - chosen), axis=1))

    empty = jnp.zeros((n_latents, x.shape[1]), x.dtype)
    return lax.fori_loop(0, n_latents, add, (empty, jnp.full(len(x), jnp.inf, x.dtype)))[0]
