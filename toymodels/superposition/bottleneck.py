"""Toy models of superposition (Elhage et al. 2022, arXiv 2209.10652).

n features are squeezed into m < n hidden dimensions by h = f W and read back through the
transpose, f_hat = relu(h W^T + b) or h W^T + b. Row W_i is feature i's direction. (The
paper writes W as m x n with columns W_i.)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.training import unrolled
from toymodels.training.loop import Outcome


class Params(NamedTuple):
    """Attributes:
    W: [feature, hidden], tied: it embeds and reads out.
    b: [feature], added before the output.
    """

    W: Array
    b: Array

    __repr__ = of_fields


def torch_scale(n_instances: int, n_rows: int, n_columns: int) -> float:
    """What torch's `xavier_normal_` gives a stack of matrices [instance, row, column].

    torch takes the first axis for outputs, the second for inputs and the rest for the size
    of a convolution's kernel, so that the deviation depends on how many models are trained
    at once: sqrt(2 / (n_columns (n_rows + n_instances))). The authors' notebook draws its W
    in this way, with [feature, hidden] matrices: 0.0213 for 20 models of 200 features in 20
    dimensions, where Xavier's own formula gives 0.0953.
    """
    require_range("n_instances", n_instances, low=1)
    require_range("n_rows", n_rows, low=1)
    require_range("n_columns", n_columns, low=1)
    return (2 / (n_columns * (n_rows + n_instances))) ** 0.5


@struct.dataclass
class Bottleneck:
    """The tied bottleneck model.

    Attributes:
        n_features: static.
        n_hidden: static.
        output: "relu" or "linear"; static.
        importance: weight of each feature's error, a number or [feature]; a leaf.
        init_scale: standard deviation of the initial W; None is Xavier's
            sqrt(2 / (n_features + n_hidden)). See `torch_scale`.
    """

    n_features: int = struct.field(pytree_node=False)
    n_hidden: int = struct.field(pytree_node=False)
    output: str = struct.field(pytree_node=False, default="relu")
    importance: ArrayLike = 1.0
    init_scale: ArrayLike | None = None

    def __post_init__(self):
        require_range("n_features", self.n_features, low=1)
        require_range("n_hidden", self.n_hidden, low=1)
        if self.output not in ("relu", "linear"):
            raise ValueError(
                f'output is "{self.output}", expected "relu" or "linear"; choose one'
            )

    def init(self, key: Key[Array, ""]) -> Params:
        """Normal weights, zero biases."""
        scale = self.init_scale
        if scale is None:
            scale = (2 / (self.n_features + self.n_hidden)) ** 0.5
        W = jnp.asarray(scale, jnp.float32) * jax.random.normal(
            key, (self.n_features, self.n_hidden), jnp.float32
        )
        return Params(W, jnp.zeros(self.n_features, jnp.float32))

    def hidden(
        self, params: Params, features: Float[Array, "*batch feature"]
    ) -> Float[Array, "*batch hidden"]:
        """h = f W."""
        return features @ params.W

    def readout(
        self, params: Params, hidden: Float[Array, "*batch hidden"]
    ) -> Float[Array, "*batch feature"]:
        """relu(h W^T + b), or without the relu for a linear output."""
        out = hidden @ params.W.T + params.b
        return jax.nn.relu(out) if self.output == "relu" else out

    def loss(
        self,
        params: Params,
        features: Float[Array, "batch feature"],
        memory: tuple,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Outcome]:
        """mean_i I_i (f_i - f_hat_i)^2, averaged over the batch and the features.

        The paper sums over the features: its loss is n_features times this one. Like the
        authors' notebook the target is |f|, which matters only for signed features.
        """
        if unrolled.pays(params.W):
            return self._unrolled_loss(params, features), Outcome({})
        out = self.readout(params, self.hidden(params, features))
        error = jnp.square(jnp.abs(features) - out)
        return jnp.mean(self.importance * error), Outcome({})

    def _unrolled_loss(self, params, features) -> Float[Array, ""]:
        columns = unrolled.columns(features)
        hidden = unrolled.product(columns, params.W)
        out = unrolled.product(hidden, params.W.T)
        importance = jnp.broadcast_to(
            jnp.asarray(self.importance, params.b.dtype), params.b.shape
        )
        total = jnp.zeros_like(columns[0])
        for i, (value, pre) in enumerate(zip(columns, out, strict=True)):
            answer = pre + params.b[i]
            answer = jax.nn.relu(answer) if self.output == "relu" else answer
            total += importance[i] * jnp.square(jnp.abs(value) - answer)
        return jnp.mean(total) / self.n_features
