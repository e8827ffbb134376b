"""Leave-one-out pruning of codes at inference (Bussmann 2026)."""

from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import ArrayLike

from toymodels.sae import base


def leave_one_out(params, x: base.X, z: base.Z, threshold: ArrayLike) -> base.Z:
    r"""`z` without the latents that the sample hardly needs.

    Latent i stays where <r, W_dec_i> + z_i ||W_dec_i||^2 > threshold, with r = x - x_hat:
    that is the projection on its row of what all others leave unexplained. All latents are
    judged at once, against the whole code. Signed codes are judged by the projection on
    the side of their sign. The values of those that stay do not change.

    Args:
        params: weights with `W_dec` and `b_dec`.
        x: [*batch, d_model].
        z: [*batch, latent], codes of any variant.
        threshold: in units of x times the length of a row; no published value.
    """
    residual = x - base.decode(params, z)
    square = jnp.sum(jnp.square(params.W_dec), axis=-1)
    needed = residual @ params.W_dec.T + z * square
    return jnp.where(jnp.sign(z) * needed > threshold, z, 0)


@struct.dataclass
class Pruned:
    """A trained dictionary that leaves out, at inference, what a sample hardly needs.

    `encode` is `leave_one_out` of the codes of `inner`; training is that of `inner`.

    Attributes:
        inner: the variant that is trained.
        threshold: of `leave_one_out`; a leaf.
    """

    inner: Any
    threshold: ArrayLike

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        return self.inner.memory(params)

    def encode(self, params, x):
        return leave_one_out(params, x, self.inner.encode(params, x), self.threshold)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        return self.inner.loss(params, x, memory, step)

    def after(self, key, state, x):
        return self.inner.after(key, state, x)
