"""The feature decoder: neurons that read features off a fixed, crowded embedding.

Jermyn, Schiefer & Hubinger 2022, "Engineering Monosemanticity in Toy Models"
(arXiv 2211.09169). The embedding is given, not learned: the number of neurons is then free
of the number of features and of the width of the input.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.directions import unit_rows
from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.training.loop import Outcome


class DecoderParams(NamedTuple):
    """Attributes:
    W_in: [d_model, neuron].
    b: [neuron], added before the ReLU.
    W_out: [neuron, feature].
    """

    W_in: Array
    b: Array
    W_out: Array

    __repr__ = of_fields


def crowded_embedding(
    key: Key[Array, ""], n_features: int, d_model: int
) -> Float[Array, "feature d_model"]:
    """Unit rows from the left singular vectors of a random normal matrix.

    Columns are orthogonal before the rows are scaled, so that rows interfere a little less
    than independent directions do.
    """
    require_range("d_model", d_model, 1, n_features, "the embedding is a bottleneck")
    normal = jax.random.normal(key, (n_features, d_model), jnp.float32)
    return unit_rows(jnp.linalg.svd(normal, full_matrices=False)[0])


@struct.dataclass
class FeatureDecoder:
    """f_hat = relu(f E W_in + b) W_out, with a fixed embedding E and no bias at the output.

    Attributes:
        embedding: E, [feature, d_model]; a leaf.
        n_neurons: static.
        start_bias: added to the initial biases; a leaf. Below zero neurons start out silent
            for most inputs, and training ends in minima with more monosemantic neurons.
    """

    embedding: Array
    n_neurons: int = struct.field(pytree_node=False)
    start_bias: ArrayLike = 0.0

    def __post_init__(self):
        require_range("n_neurons", self.n_neurons, low=1)

    @property
    def n_features(self) -> int:
        return self.embedding.shape[-2]

    def init(self, key: Key[Array, ""]) -> DecoderParams:
        """Uniform within 1 / sqrt(inputs), as PyTorch's linear layers start."""
        d_model, k = self.embedding.shape[-1], self.n_neurons

        def uniform(key, shape, inputs):
            return (
                jax.random.uniform(key, shape, minval=-1.0, dtype=jnp.float32) / inputs**0.5
            )

        key_in, key_bias, key_out = jax.random.split(key, 3)
        return DecoderParams(
            uniform(key_in, (d_model, k), d_model),
            uniform(key_bias, (k,), d_model) + jnp.asarray(self.start_bias, jnp.float32),
            uniform(key_out, (k, self.n_features), k),
        )

    def hidden(
        self, params: DecoderParams, features: Float[Array, "*batch feature"]
    ) -> Float[Array, "*batch neuron"]:
        """relu(f E W_in + b)."""
        return jax.nn.relu(features @ self.embedding @ params.W_in + params.b)

    def responses(self, params: DecoderParams) -> Float[Array, "feature neuron"]:
        """The hidden layer when one feature alone is present, at 1."""
        return self.hidden(params, jnp.eye(self.n_features, dtype=jnp.float32))

    def readout(
        self, params: DecoderParams, hidden: Float[Array, "*batch neuron"]
    ) -> Float[Array, "*batch feature"]:
        """h W_out."""
        return hidden @ params.W_out

    def loss(
        self,
        params: DecoderParams,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """The squared error, averaged over the batch and the features.

        The paper sums over the features: its loss is n_features times this one.
        """
        error = features - self.readout(params, self.hidden(params, features))
        return jnp.mean(jnp.square(error)), Outcome({})
