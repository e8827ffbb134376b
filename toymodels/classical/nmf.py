"""Non-negative matrix factorisation (Lee & Seung 2001)."""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import ArrayLike

from synthetic.directions import unit_rows
from synthetic.validation import concrete, require_range
from toymodels.classical.base import Rows, W, X, Z, require_samples
from toymodels.sparse_coding.fista import fista

_TINY = 1e-12  # keeps 0 / 0 at 0


@struct.dataclass
class NMF:
    """Minimises ||x - z W_dec||^2 over z >= 0 and W_dec >= 0, by multiplicative updates.

    For data that are sums of non-negative parts; the rows of W_dec are scaled to length 1.
    `encode` solves for z >= 0 with W_dec as it is.

    Attributes:
        n_latents: number of parts; static.
        steps: iterations; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    steps: ArrayLike = 500

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("steps", self.steps, low=1)

    def fit(self, key, x) -> Rows:
        """Starts from uniform random parts and codes.

        Raises:
            ValueError: an entry of x is negative or not finite, or fewer samples than
                latents.
        """
        require_samples(x, self.n_latents)
        _require_nonnegative(x)
        z, W_dec = start(key, x, self.n_latents)
        _, W_dec = lax.fori_loop(0, self.steps, lambda _, zW: update(x, *zW), (z, W_dec))
        return Rows(unit_rows(W_dec))

    def encode(self, params, x):
        return fista(x, params.W_dec, 0.0)

    def decode(self, params, z):
        return z @ params.W_dec


def start(key, x: X, n_latents: int) -> tuple[Z, W]:
    """Uniform random numbers whose product is on average as large as x."""
    key_z, key_W = jax.random.split(key)
    size = 2 * jnp.sqrt(jnp.mean(x) / n_latents)
    z = size * jax.random.uniform(key_z, (len(x), n_latents), jnp.float32)
    return z, size * jax.random.uniform(key_W, (n_latents, x.shape[1]), jnp.float32)


def update(x: X, z: Z, W_dec: W) -> tuple[Z, W]:
    """One update of each factor; the squared error never rises."""
    z = z * (x @ W_dec.T) / (z @ (W_dec @ W_dec.T) + _TINY)
    return z, W_dec * (z.T @ x) / ((z.T @ z) @ W_dec + _TINY)


def _require_nonnegative(x: X) -> None:
    known = concrete(x)
    if known is not None and known.min() < 0:
        raise ValueError(
            f"x holds {known.min():g}, expected no negative number; NMF adds non-negative "
            "parts, so shift the data or use another method"
        )
