"""Compressed computation: more ReLUs than neurons (Braun et al. 2025; Bhagat et al. 2026).

A network of m neurons learns y = relu(x) + x M for n > m features. Braun et al.
(arXiv 2501.14926) meet M = I - E E^T through a noisy embedding E; Bhagat et al.
(arXiv 2606.14673) show that without M no network beats the naive one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.validation import require_range
from toymodels.training.loop import Outcome


class Weights(NamedTuple):
    """Attributes:
    W_in: [feature, neuron].
    W_out: [neuron, feature].
    """

    W_in: Array
    W_out: Array


@struct.dataclass
class CompressedReLU:
    """y_hat = relu(x W_in) W_out, trained on y = relu(x) + x M; no biases.

    Attributes:
        n_features: static.
        n_hidden: number of neurons; static.
        mixing: M, [feature, feature], a leaf. A number stands for that multiple of the
            identity; 0 is clean labels.
    """

    n_features: int = struct.field(pytree_node=False)
    n_hidden: int = struct.field(pytree_node=False)
    mixing: ArrayLike = 0.0

    def __post_init__(self):
        require_range("n_features", self.n_features, low=1)
        require_range("n_hidden", self.n_hidden, low=1)

    def init(self, key: Key[Array, ""]) -> Weights:
        """Normal weights of deviation 1 / sqrt(width of their input)."""
        key_in, key_out = jax.random.split(key)
        n, m = self.n_features, self.n_hidden
        return Weights(
            jax.random.normal(key_in, (n, m), jnp.float32) / n**0.5,
            jax.random.normal(key_out, (m, n), jnp.float32) / m**0.5,
        )

    def naive(self) -> Weights:
        """A neuron of its own for each of the first m features, nothing for the rest."""
        W_in = jnp.eye(self.n_features, self.n_hidden, dtype=jnp.float32)
        return Weights(W_in, W_in.T)

    def target(
        self, features: Float[Array, "batch feature"]
    ) -> Float[Array, "batch feature"]:
        """relu(x) + x M."""
        mixing = jnp.asarray(self.mixing, features.dtype)
        mixed = features @ mixing if mixing.ndim else mixing * features
        return jax.nn.relu(features) + mixed

    def readout(
        self, params: Weights, features: Float[Array, "batch feature"]
    ) -> Float[Array, "batch feature"]:
        """relu(x W_in) W_out."""
        return jax.nn.relu(features @ params.W_in) @ params.W_out

    def loss(
        self,
        params: Weights,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """The squared error, averaged over the batch and the features."""
        error = self.target(features) - self.readout(params, features)
        return jnp.mean(jnp.square(error)), Outcome({})


def naive_loss(n_features: int, n_hidden: int, density: float) -> float:
    """The loss of `naive` on clean labels: p (1 - m/n) / 6, for values uniform on [-1, 1].

    A feature without a neuron costs E[relu(x)^2] = p / 6, whatever else is present.
    """
    return density * (1 - n_hidden / n_features) / 6
