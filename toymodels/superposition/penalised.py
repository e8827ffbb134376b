"""A toy model whose hidden layer pays for being active."""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.validation import require_range
from toymodels.superposition.bottleneck import Bottleneck, Params
from toymodels.superposition.neurons import HiddenReLU
from toymodels.training.loop import Outcome


@struct.dataclass
class PenalisedHidden:
    """The inner model's loss plus weight * mean_batch sum_k |h_k| / n_features.

    The factor 1 / n_features is that of the inner model's error: `weight` is the paper's
    lambda beside a sum over features.

    Attributes:
        inner: a model with `hidden`.
        weight: of the penalty; a leaf.
    """

    inner: Bottleneck | HiddenReLU
    weight: ArrayLike

    def __post_init__(self):
        require_range("weight", self.weight, low=0.0, fix="it weighs a penalty")

    @property
    def n_features(self) -> int:
        return self.inner.n_features

    def init(self, key: Key[Array, ""]) -> Params:
        return self.inner.init(key)

    def loss(
        self,
        params: Params,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """The metric "error" is the inner model's loss."""
        error, _ = self.inner.loss(params, features, memory, step)
        hidden = self.inner.hidden(params, features)
        active = jnp.mean(jnp.sum(jnp.abs(hidden), axis=-1)) / self.n_features
        return error + self.weight * active, Outcome({"error": error})
