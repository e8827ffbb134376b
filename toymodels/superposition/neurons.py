"""Toy models with neurons: a ReLU on the hidden layer gives it a privileged basis.

Sections "Superposition in a privileged basis" and "Computation in superposition" of
Elhage et al. 2022 (arXiv 2209.10652). Row i of an input matrix holds feature i's weights
onto the neurons.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.superposition.bottleneck import Params
from toymodels.training.loop import Outcome


class UntiedParams(NamedTuple):
    """Attributes:
    W_in: [feature, neuron].
    W_out: [neuron, feature].
    b: [feature], added before the output.
    """

    W_in: Array
    W_out: Array
    b: Array

    __repr__ = of_fields


@struct.dataclass
class HiddenReLU:
    """Tied weights with a ReLU on both layers: f_hat = relu(relu(f W) W^T + b).

    Attributes:
        n_features: static.
        n_hidden: number of neurons; static.
        importance: weight of each feature's error, a number or [feature]; a leaf.
        init_scale: standard deviation of the initial W; a leaf. None is Xavier's
            sqrt(2 / (n_features + n_hidden)).
    """

    n_features: int = struct.field(pytree_node=False)
    n_hidden: int = struct.field(pytree_node=False)
    importance: ArrayLike = 1.0
    init_scale: ArrayLike | None = None

    def __post_init__(self):
        _require_sizes(self.n_features, self.n_hidden, self.init_scale)

    def init(self, key: Key[Array, ""]) -> Params:
        """Normal weights, zero biases."""
        scale = _scale(self.init_scale, self.n_features, self.n_hidden)
        W = scale * jax.random.normal(key, (self.n_features, self.n_hidden), jnp.float32)
        return Params(W, jnp.zeros(self.n_features, jnp.float32))

    def hidden(
        self, params: Params, features: Float[Array, "*batch feature"]
    ) -> Float[Array, "*batch neuron"]:
        """h = relu(f W)."""
        return jax.nn.relu(features @ params.W)

    def readout(
        self, params: Params, hidden: Float[Array, "*batch neuron"]
    ) -> Float[Array, "*batch feature"]:
        """relu(h W^T + b)."""
        return jax.nn.relu(hidden @ params.W.T + params.b)

    def loss(
        self,
        params: Params,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """mean_i I_i (f_i - f_hat_i)^2, averaged over the batch and the features.

        The paper sums over the features: its loss is n_features times this one.
        """
        target = features.T
        hidden = jax.nn.relu(params.W.T @ target)
        out = jax.nn.relu(params.W @ hidden + params.b[:, None])
        return _weighted_error(self.importance, target - out), Outcome({})


@struct.dataclass
class AbsoluteValue:
    """A network that computes y_i = |f_i|: y_hat = relu(relu(f W_in) W_out + b).

    A feature needs two neurons, one per sign, so n_hidden / 2 features can be answered
    exactly without superposition; see `absolute_value_baseline`.

    Attributes:
        n_features: static.
        n_hidden: number of neurons; static.
        importance: weight of each feature's error, a number or [feature]; a leaf.
        init_scale: standard deviation of both initial matrices; a leaf. None is
            Xavier's sqrt(2 / (n_features + n_hidden)).
            With many features it should be small: an output whose first answers come
            from other features is pushed below zero and stays dead.
    """

    n_features: int = struct.field(pytree_node=False)
    n_hidden: int = struct.field(pytree_node=False)
    importance: ArrayLike = 1.0
    init_scale: ArrayLike | None = None

    def __post_init__(self):
        _require_sizes(self.n_features, self.n_hidden, self.init_scale)

    def init(self, key: Key[Array, ""]) -> UntiedParams:
        """Normal weights, zero biases."""
        scale = _scale(self.init_scale, self.n_features, self.n_hidden)
        key_in, key_out = jax.random.split(key)
        W_in = scale * jax.random.normal(
            key_in, (self.n_features, self.n_hidden), jnp.float32
        )
        W_out = scale * jax.random.normal(
            key_out, (self.n_hidden, self.n_features), jnp.float32
        )
        return UntiedParams(W_in, W_out, jnp.zeros(self.n_features, jnp.float32))

    def hidden(
        self, params: UntiedParams, features: Float[Array, "*batch feature"]
    ) -> Float[Array, "*batch neuron"]:
        """h = relu(f W_in)."""
        return jax.nn.relu(features @ params.W_in)

    def readout(
        self, params: UntiedParams, hidden: Float[Array, "*batch neuron"]
    ) -> Float[Array, "*batch feature"]:
        """y_hat = relu(h W_out + b)."""
        return jax.nn.relu(hidden @ params.W_out + params.b)

    def loss(
        self,
        params: UntiedParams,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """mean_i I_i (|f_i| - y_hat_i)^2, averaged over the batch and the features."""
        by_feature = features.T
        hidden = jax.nn.relu(params.W_in.T @ by_feature)
        out = jax.nn.relu(params.W_out.T @ hidden + params.b[:, None])
        return _weighted_error(self.importance, jnp.abs(by_feature) - out), Outcome({})


def absolute_value_baseline(
    density: ArrayLike, importance: ArrayLike, n_hidden: int
) -> Float[Array, ""]:
    r"""The loss of `AbsoluteValue` without superposition, for values uniform on [-1, 1].

    The n_hidden / 2 most important features are exact, two neurons each; every other one
    is answered with its mean p/2, which leaves the variance of |f|:
    $(p/3 - p^2/4) \sum_{i \ge m/2} I_i / n$.
    """
    largest_first = jnp.sort(jnp.asarray(importance))[::-1]
    density = jnp.asarray(density)
    variance = density / 3 - jnp.square(density) / 4
    return variance * jnp.sum(largest_first[n_hidden // 2 :]) / len(largest_first)


def _weighted_error(
    importance: ArrayLike, error: Float[Array, "feature batch"]
) -> Float[Array, ""]:
    """Batches run along the last axis: a few features by many samples is then fast."""
    per_feature = jnp.mean(jnp.square(error), axis=1)
    return jnp.mean(importance * per_feature)


def _scale(init_scale: ArrayLike | None, n_features: int, n_hidden: int) -> Array:
    if init_scale is None:
        init_scale = (2 / (n_features + n_hidden)) ** 0.5
    return jnp.asarray(init_scale, jnp.float32)


def _require_sizes(n_features: int, n_hidden: int, init_scale: ArrayLike | None) -> None:
    require_range("n_features", n_features, low=1)
    require_range("n_hidden", n_hidden, low=1)
    if init_scale is not None:
        require_range("init_scale", init_scale, low=0.0, fix="it is a deviation")
