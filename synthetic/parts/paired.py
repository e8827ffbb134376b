"""Samples in two spaces: known features, and what known functions make of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.base import Batch
from synthetic.noise import force
from synthetic.shapes import of_fields
from synthetic.sparse import SparseFeatures
from synthetic.validation import require_width


class Paired(NamedTuple):
    """The same samples at two places of a model.

    Attributes:
        source: [batch, d_source], what a dictionary reads.
        target: [batch, d_target], what it must give.
    """

    source: Float[Array, "*batch d_source"]
    target: Float[Array, "*batch d_target"]


class PairedBatch(NamedTuple):
    """A `Batch` whose samples are in two spaces.

    Attributes:
        x: the source and the target.
        features: [batch, feature], the true value of every feature of the target.
    """

    x: Paired
    features: Array


@struct.dataclass
class ReLUFunctions:
    r"""An MLP whose neurons compute known functions of known features.

    The source is `inputs`' x. Neuron j computes g_j = relu(sum_i M_ji a_i - t_j) of its
    features a, and the target is sum_j g_j w_j + bias. A row of M with a single 1 and t = 0
    passes a feature on; two 1s and t = 1 are the AND of two features with values 0 and 1.

    The features of a sample are the values g of the functions: what a transcoder's latents
    should be.

    Raises:
        ValueError: the parts count features or functions differently.

    Attributes:
        inputs: the world of the source.
        reads: M, [function, feature].
        directions: w, [function, d_target], rows.
        threshold: t, [function] or a number.
        bias: [d_target] or a number.
    """

    inputs: SparseFeatures
    reads: Array
    directions: Array
    threshold: ArrayLike = 0.0
    bias: ArrayLike = 0.0

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.reads, "ndim", 0) != 2 or getattr(self.directions, "ndim", 0) != 2:
            return
        fix = "reads has one row per function and one column per feature"
        n_features = self.inputs.n_features
        require_width("the width of reads", self.reads.shape[1], n_features, fix)
        require_width(
            "the length of directions", len(self.directions), len(self.reads), fix
        )

    @property
    def n_features(self) -> int:
        """How many functions there are: they are the features of the target."""
        return self.directions.shape[-2]

    @property
    def d_model(self) -> int:
        """The width of the source."""
        return self.inputs.d_model

    @property
    def read_directions(self) -> Float[Array, "function d_source"]:
        """Row j has the product sum_i M_ji a_i with a source of features a, less its bias.

        With linearly independent feature directions: of all such rows, the one in their
        span. With dependent ones no row has, and it is the nearest in least squares.
        """
        return self.reads @ jnp.linalg.pinv(self.inputs.directions).T

    def sample(self, key: Key[Array, ""], batch_size: int) -> PairedBatch:
        """`batch_size` independent pairs and the values of the functions."""
        source, features = self.inputs.sample(key, batch_size)
        values = jax.nn.relu(
            features @ self.reads.T - jnp.asarray(self.threshold, features.dtype)
        )
        target = values @ self.directions + jnp.asarray(self.bias, self.directions.dtype)
        return PairedBatch(Paired(source, target), values)

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> PairedBatch:
        """The pairs of `sample` under the same key, with the output of one function forced
        to `value`: the target moves along its direction, the source stays.
        """
        (source, target), values = self.sample(key, batch_size)
        forced = force(Batch(target, values), self.directions, feature, value)
        return PairedBatch(Paired(source, forced.x), forced.features)
