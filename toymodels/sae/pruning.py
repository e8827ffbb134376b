"""Leave-one-out pruning of codes at inference (Bussmann 2026)."""

import jax.numpy as jnp
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
