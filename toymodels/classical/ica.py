"""Independent component analysis by FastICA (Hyvarinen 1999)."""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import ArrayLike

from synthetic.directions import orthogonal
from synthetic.validation import concrete, require_range
from toymodels.classical.base import turned_to_positive_skew
from toymodels.classical.pca import principal_components
from toymodels.sae import base
from toymodels.sae.base import Params

_FLAT = 1e-6  # of the largest variance


@struct.dataclass
class ICA:
    """Directions whose codes are as far from normal as possible, and uncorrelated.

    The data are whitened, y = (x - mean) V, and all rows of an orthogonal W are updated
    together: w <- E[y tanh(w . y)] - E[1 - tanh(w . y)^2] w, then W <- (W W^T)^(-1/2) W.
    x_hat = z W_dec + mean with the mixing matrix W_dec, its rows scaled to length 1.

    It finds at most d_model directions: with more features than dimensions the model does
    not hold.

    Attributes:
        n_latents: number of components, at most d_model; below it the smallest principal
            components are left out. Static.
        steps: iterations; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    steps: ArrayLike = 200

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("steps", self.steps, low=1)

    def fit(self, key, x) -> Params:
        """Starts from a random rotation.

        Raises:
            ValueError: fewer dimensions or samples than latents, not finite, or fewer
                dimensions with variance than latents.
        """
        mean, rows, variance = principal_components(x, self.n_latents)
        _require_full_rank(variance)
        scale = jnp.sqrt(variance)[:, None]
        whiten = (rows / scale).T
        y = (x - mean) @ whiten

        def update(_, unmixing):
            g = jnp.tanh(y @ unmixing.T)
            slope = jnp.mean(1 - jnp.square(g), axis=0)
            moved = g.T @ y / len(y) - slope[:, None] * unmixing
            left, _, right = jnp.linalg.svd(moved, full_matrices=False)
            return left @ right

        start = orthogonal(key, self.n_latents, self.n_latents)
        unmixing = lax.fori_loop(0, self.steps, update, start)
        unmixing = turned_to_positive_skew(unmixing, y)
        mixing = unmixing @ (scale * rows)
        length = jnp.linalg.norm(mixing, axis=1)
        W_enc = whiten @ unmixing.T * length
        return Params(
            W_enc, jnp.zeros(self.n_latents, jnp.float32), mixing / length[:, None], mean
        )

    def encode(self, params, x):
        return base.pre_activation(params, x)

    def decode(self, params, z):
        return base.decode(params, z)


def _require_full_rank(variance: jax.Array) -> None:
    known = concrete(variance)
    if known is not None and known[-1] <= _FLAT * known[0]:
        rank = int((known > _FLAT * known[0]).sum())
        raise ValueError(
            f"x has variance in {rank} dimensions, expected at least n_latents = "
            f"{len(known)}; ask for fewer components"
        )
