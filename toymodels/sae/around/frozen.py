"""Controls: half of the dictionary stays as it was drawn (Korznikov et al., 2602.14111).

A score that such a control reaches as well says nothing about what was learned.
"""

from dataclasses import replace

import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from synthetic.directions import unit_rows
from synthetic.validation import require_range
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
        """The state as it is, but for what the optimizer does not train (a threshold).

        The rest of what `inner` does after a step would move the decoder.
        """
        names = {"W_enc", "b_enc", "W_dec"} & set(state.params._fields)
        trained = {name: getattr(state.params, name) for name in names}
        moved = self.inner.after(key, state, x).params
        return replace(state, params=moved._replace(**trained))


@struct.dataclass
class FrozenEncoder:
    """Any variant with W_enc held at its random start; decoder and biases learn.

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
        frozen = params._replace(W_enc=lax.stop_gradient(params.W_enc))
        return self.inner.loss(frozen, x, memory, step)

    def after(self, key, state, x):
        """What `inner` does after a step, the encoder put back."""
        moved = self.inner.after(key, state, x)
        return replace(moved, params=moved.params._replace(W_enc=state.params.W_enc))


@struct.dataclass
class SoftFrozenDecoder:
    """Any variant whose decoder rows may turn, but not far from their random start.

    After each step a row whose cosine with its start has fallen below `cosine` is turned
    back to it, in the plane of the two, at its length.

    Attributes:
        inner: the variant whose loss it minimises.
        cosine: how near the rows stay, 0.8 in the paper; a leaf.
    """

    inner: Dictionary
    cosine: ArrayLike = 0.8

    def __post_init__(self):
        require_range("cosine", self.cosine, -1.0, 1.0, "1 freezes the rows, -1 frees them")

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        """The inner memory and the directions that the rows start from."""
        return self.inner.memory(params), unit_rows(params.W_dec)

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        inner, start = memory
        value, outcome = self.inner.loss(params, x, inner, step)
        return value, outcome._replace(memory=(outcome.memory, start))

    def after(self, key, state, x):
        """What `inner` does after a step, then the rows turned back."""
        inner, start = state.memory
        moved = self.inner.after(key, replace(state, memory=inner), x)
        W_dec = turned_back(moved.params.W_dec, start, self.cosine)
        params = moved.params._replace(W_dec=W_dec)
        return replace(moved, params=params, memory=(moved.memory, start))


def turned_back(
    rows: Float[Array, "row d_model"],
    start: Float[Array, "row d_model"],
    cosine: ArrayLike,
) -> Float[Array, "row d_model"]:
    """Each row at its length, with a cosine of at least `cosine` with its unit start.

    A row exactly opposite its start spans no plane with it and ends on it, shorter.
    """
    length = jnp.linalg.norm(rows, axis=-1, keepdims=True)
    along = jnp.sum(rows * start, axis=-1, keepdims=True)
    across = rows - along * start
    size = jnp.linalg.norm(across, axis=-1, keepdims=True)
    sine = jnp.sqrt(1 - jnp.square(cosine))
    turned = cosine * start + sine * across / jnp.where(size > 0, size, 1)
    return jnp.where(along < cosine * length, length * turned, rows)
