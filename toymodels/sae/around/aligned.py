"""Aligned training: each encoder column reads its own decoder row with gain 1.

After "Aligned Training: A Parameter-Free Method to Improve Feature Quality and Stability
of Sparse Autoencoders" (2026, arXiv 2605.18629).
"""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import struct

from toymodels.sae.base import Dictionary
from toymodels.sae.threshold import calibrate


@struct.dataclass
class Aligned:
    r"""Any variant with <W_enc_i, W_dec_i> = 1 for every latent i.

    The inner variant sees the nearest column that meets the condition,
    W_enc_i + W_dec_i (1 - <W_enc_i, W_dec_i>) / ||W_dec_i||^2: this way of imposing it is
    our own. A latent then answers its own direction at full size, so that few die and none
    shrinks by itself.

    After each step the weights are aligned themselves, so that they serve the inner
    variant as they are.

    Attributes:
        inner: the variant whose loss it minimises; its rows must not be 0.
    """

    inner: Dictionary

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return aligned(self.inner.init(key, d_model))

    def memory(self, params):
        return self.inner.memory(params)

    def encode(self, params, x):
        return self.inner.encode(aligned(params), x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        return self.inner.loss(aligned(params), x, memory, step)

    def after(self, key, state, x):
        """What `inner` does after a step, and the encoder aligned with its rows."""
        moved = self.inner.after(key, state, x)
        return replace(moved, params=aligned(moved.params))

    def calibrate(self, params, x):
        """See `threshold.calibrate`; on the aligned weights."""
        return calibrate(self.inner, aligned(params), x)


def aligned(params: Any) -> Any:
    """`params` with the nearest encoder that reads every decoder row with gain 1."""
    W_enc, W_dec = params.W_enc, params.W_dec
    gain = jnp.sum(W_enc.T * W_dec, axis=-1)
    square = jnp.sum(jnp.square(W_dec), axis=-1)
    return params._replace(W_enc=W_enc + W_dec.T * ((1 - gain) / square))
