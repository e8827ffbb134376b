"""Training on normalised inputs, and folding the normalisation into the weights.

A scaling is an invertible affine map x -> (x - shift) A, estimated from a sample.
`Normalised` trains any variant behind one; `fold` gives weights that do the same on raw
inputs.
"""

from typing import Any, Protocol

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_finite, require_range
from toymodels.sae.base import Dictionary, X
from toymodels.sae.threshold import calibrate

Sample = Float[Array, "batch d_model"]


class Scaling(Protocol):
    """x -> (x - shift) A and back."""

    @property
    def shift(self) -> ArrayLike: ...

    def rows(self, rows: X) -> X: ...

    def rows_back(self, rows: X) -> X: ...

    def columns(self, columns: Float[Array, "d_model k"]) -> Float[Array, "d_model k"]: ...


@struct.dataclass
class Uniformly:
    """A = scale, one number; `Uniformly()` leaves x as it is.

    Attributes:
        scale: a leaf.
        shift: [d_model] or a number, subtracted first; a leaf.
    """

    scale: ArrayLike = 1.0
    shift: ArrayLike = 0.0

    def __post_init__(self):
        require_finite("scale", self.scale)
        require_range("scale", self.scale, low=1e-30, fix="it must be invertible")

    def rows(self, rows):
        """Rows times A."""
        return rows * self.scale

    def rows_back(self, rows):
        """Rows times the inverse of A."""
        return rows / self.scale

    def columns(self, columns):
        """A times columns."""
        return self.scale * columns


@struct.dataclass
class Whitening:
    """A = covariance^(-1/2), symmetric: every direction gets variance 1.

    Attributes:
        shift: [d_model], the mean.
        matrix: [d_model, d_model], A.
        inverse: [d_model, d_model], its inverse.
    """

    shift: Array
    matrix: Array
    inverse: Array

    def rows(self, rows):
        """Rows times A."""
        return rows @ self.matrix

    def rows_back(self, rows):
        """Rows times the inverse of A."""
        return rows @ self.inverse

    def columns(self, columns):
        """A times columns."""
        return self.matrix @ columns


def unit_mean_square(x: Sample) -> Uniformly:
    """E||x||^2 = 1 (Rajamanoharan et al. 2024)."""
    return Uniformly(1 / jnp.sqrt(_mean(jnp.sum(jnp.square(x), axis=-1))))


def root_width(x: Sample) -> Uniformly:
    """E||x|| = sqrt(d_model) (Anthropic, April 2024; SAELens)."""
    return Uniformly(x.shape[-1] ** 0.5 / _mean(jnp.linalg.norm(x, axis=-1)))


def centred(x: Sample) -> Uniformly:
    """E x = 0 and E||x||^2 = d_model.

    Activations far from 0 for their spread kill latents at the start; this moves them back.
    """
    mean = jnp.mean(x, axis=0)
    variance = _mean(jnp.mean(jnp.square(x - mean), axis=-1))
    return Uniformly(1 / jnp.sqrt(variance), mean)


def whitening(x: Sample, floor: float = 1e-6) -> Whitening:
    """E x = 0 and E x^T x = 1 (arXiv 2511.13981).

    Raises:
        ValueError: x has directions with a variance below `floor` times the largest; they
            would be blown up beyond what float32 can undo.
    """
    mean = jnp.mean(x, axis=0)
    centre = x - mean
    variance, axes = jnp.linalg.eigh(centre.T @ centre / len(x))
    share = jnp.min(variance) / jnp.max(variance)
    fix = "give more samples, or add noise, or use `centred`"
    require_range("the least variance over the largest", share, low=floor, fix=fix)
    root = jnp.sqrt(variance)
    return Whitening(mean, (axes / root) @ axes.T, (axes * root) @ axes.T)


@struct.dataclass
class Normalised:
    """Any variant that sees its inputs through a scaling.

    Weights, losses and the metric `squared_error` are those of the scaled inputs; codes
    are too, and `decode` leads back to raw ones.

    Attributes:
        inner: the variant.
        scaling: `Uniformly` or `Whitening`.
    """

    inner: Dictionary
    scaling: Scaling

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        return self.inner.memory(params)

    def encode(self, params, x):
        return self.inner.encode(params, self._forward(x))

    def decode(self, params, z):
        x_hat = self.inner.decode(params, z)
        return self.scaling.rows_back(x_hat) + self.scaling.shift

    def loss(self, params, x, memory, step):
        return self.inner.loss(params, self._forward(x), memory, step)

    def after(self, key, state, x):
        """What `inner` does after a step."""
        return self.inner.after(key, state, self._forward(x))

    def calibrate(self, params, x):
        """See `threshold.calibrate`; on the scaled inputs."""
        return calibrate(self.inner, params, self._forward(x))

    def _forward(self, x: X) -> X:
        return self.scaling.rows(x - self.scaling.shift)


def fold(params: Any, scaling: Scaling, pre_bias: ArrayLike = 1.0) -> Any:
    """Weights that do on raw inputs what `params` do on scaled ones.

    W_enc <- A W_enc, W_dec <- W_dec A^-1, b_dec <- b_dec A^-1 + shift. Codes stay as they
    are, and so does all that acts on them: b_enc, the biases and r_mag of `Gated`, and
    thresholds on z (of one latent, or one for all), which other libraries divide where
    they select by z ||W_dec||. Rows of W_dec no longer have length 1.

    Args:
        params: of any variant with W_enc, W_dec and b_dec; for `Tied` those of
            `tied.untied`, which have two matrices to fold into.
        scaling: what the variant was trained behind.
        pre_bias: share of b_dec that the variant subtracts before encoding: 1, and
            `ReLUApril.pre_bias` for that variant. What it leaves of the shift goes to
            b_enc.
    """
    W_enc = scaling.columns(params.W_enc)
    folded = params._replace(
        W_enc=W_enc,
        W_dec=scaling.rows_back(params.W_dec),
        b_dec=scaling.rows_back(params.b_dec) + scaling.shift,
    )
    if "b_enc" not in params._fields:
        return folded
    shift = jnp.broadcast_to(scaling.shift, params.b_dec.shape)
    return folded._replace(b_enc=params.b_enc - (1 - pre_bias) * shift @ W_enc)


def _mean(values: Float[Array, " batch"]) -> Float[Array, ""]:
    """The mean, which must be positive for its inverse to exist."""
    mean = jnp.mean(values)
    fix = "a constant sample has no scale"
    require_range("the mean square of the sample", mean, low=1e-30, fix=fix)
    return mean
