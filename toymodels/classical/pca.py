"""Principal component analysis: the baseline without sparsity."""

import jax.numpy as jnp
from flax import struct
from jax import lax

from synthetic.validation import require_range
from toymodels.classical.base import X, require_samples, turned_to_positive_skew
from toymodels.sae import base
from toymodels.sae.base import Params


@struct.dataclass
class PCA:
    """The directions of largest variance about the mean, largest first.

    z = (x - mean) W_dec^T, of either sign, and x_hat = z W_dec + mean with orthonormal
    rows: no other z and W of this size leave a smaller squared error. Variance sees the
    span of equally strong features, not the features: it is the floor for methods that
    claim to find them.

    Attributes:
        n_latents: number of components, at most d_model; static.
    """

    n_latents: int = struct.field(pytree_node=False)

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)

    def fit(self, key, x) -> Params:
        """The key plays no part.

        Raises:
            ValueError: fewer dimensions or samples than latents, or not finite.
        """
        mean, rows, _ = principal_components(x, self.n_latents)
        return Params(rows.T, jnp.zeros(self.n_latents, jnp.float32), rows, mean)

    def encode(self, params, x):
        return base.pre_activation(params, x)

    def decode(self, params, z):
        return base.decode(params, z)


def principal_components(x: X, n_latents: int):
    """The mean, the leading eigenvectors of the covariance as rows, and their variances."""
    require_samples(x, n_latents)
    d_model = x.shape[1]
    fix = f"there are no more components than the {d_model} dimensions of x"
    require_range("n_latents", n_latents, 1, d_model, fix)
    mean = jnp.mean(x, axis=0)
    centred = x - mean
    covariance = jnp.matmul(centred.T, centred, precision=lax.Precision.HIGHEST) / len(x)
    variance, vectors = jnp.linalg.eigh(covariance)
    rows = vectors[:, ::-1][:, :n_latents].T
    return mean, turned_to_positive_skew(rows, centred), variance[::-1][:n_latents]
