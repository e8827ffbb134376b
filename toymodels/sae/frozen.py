"""A control: the decoder stays as it was drawn (Korznikov et al., arXiv 2602.14111)."""

from flax import struct
from jax import lax

from toymodels.sae.base import Dictionary


@struct.dataclass
class FrozenDecoder:
    """Any variant with its decoder rows held at their random start.

    Only the encoder and the biases learn. Whatever it scores, learned directions had no
    part in.

    Attributes:
        inner: the variant whose loss it minimises.
    """

    inner: Dictionary

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        return self.inner.memory(params)

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        frozen = params._replace(W_dec=lax.stop_gradient(params.W_dec))
        return self.inner.loss(frozen, x, memory, step)

    def after(self, key, state, x):
        """The state as it is: what `inner` does after a step would move the decoder."""
        return state
