"""End-to-end dictionaries: what matters is the model's output (Braun et al. 2024).

"Identifying Functionally Important Features with End-to-End Sparse Dictionary Learning",
arXiv 2405.12241.
"""

from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_range
from toymodels.sae import base
from toymodels.sae.elsewhere.transcoder import read
from toymodels.training.loop import Outcome

Outputs = Float[Array, "*batch output"]


class Effects(NamedTuple):
    """What a model makes of activations at one place.

    Attributes:
        outputs: [batch, output].
        layers: activations [batch, width] at later places, as many as one likes.
    """

    outputs: Array
    layers: tuple[Array, ...] = ()


class Downstream(Protocol):
    """The rest of a model, a pytree that can be called.

    A `flax.struct` dataclass with `__call__`, or `jax.tree_util.Partial(f, weights)`. Its
    weights are leaves, and are not trained.
    """

    def __call__(self, x: base.X) -> Effects: ...


def kl(outputs: Outputs, outputs_hat: Outputs) -> Float[Array, ""]:
    """KL(softmax(outputs) || softmax(outputs_hat)), averaged over the batch; in nats."""
    log_p = jax.nn.log_softmax(outputs)
    log_q = jax.nn.log_softmax(outputs_hat)
    return jnp.mean(jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1))


@struct.dataclass
class EndToEnd:
    r"""Minimises distance(f(x), f(x_hat)) + sparsity * sum_i z_i for a given function f.

    z = relu(x W_enc + b_enc) and x_hat = z W_dec + b_dec with unit rows: whether x_hat is
    near x plays no part. Directions that f does not see cost codes and win nothing, so a
    dictionary finds the features that matter to f alone, and of their directions the part
    that does: logits have no common level, and under `kl` rows lose what would add one
    number to all of them. With `later` > 0 (e2e+ds in the source) the squared error at the
    later layers, averaged over them, is added: the model should also come to its outputs
    by the same way.

    The source divides the penalty by d_model, starts from orthogonal rows, and scales the
    rows in the forward pass alone; here they start along random directions and are scaled
    after each update, too.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        downstream: f, a pytree: its weights are leaves, held constant.
        sparsity: weight of the penalty, in units of the distance over those of x; a leaf.
        later: weight of the later layers' squared error; a leaf.
        distance: between outputs, `kl` of logits or `base.squared_error`; static.
    """

    n_latents: int = struct.field(pytree_node=False)
    downstream: Downstream
    sparsity: ArrayLike = 0.1
    later: ArrayLike = 0.0
    distance: Callable[[Outputs, Outputs], Array] = struct.field(
        pytree_node=False, default=kl
    )

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        require_range("later", self.later, low=0.0)
        if isinstance(self.downstream, FunctionType):
            raise ValueError(
                f"downstream is the function {self.downstream.__name__}, expected a pytree "
                "that can be called; give jax.tree_util.Partial(function, weights)"
            )

    def init(self, key, d_model):
        return base.init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        return jax.nn.relu(read(params, x))

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z = self.encode(params, x)
        x_hat = self.decode(params, z)
        was, now = self.downstream(x), self.downstream(x_hat)
        distance = self.distance(was.outputs, now.outputs)
        pairs = list(zip(was.layers, now.layers, strict=True))
        errors = [base.squared_error(layer, layer_hat) for layer, layer_hat in pairs]
        later = sum(errors, jnp.zeros((), jnp.float32)) / max(len(errors), 1)
        penalty = jnp.mean(jnp.sum(z, axis=-1))
        metrics = {
            "distance": distance,
            "later": later,
            "squared_error": base.squared_error(x, x_hat),
            "l0": base.mean_l0(z),
        }
        value = distance + self.later * later + self.sparsity * penalty
        return value, Outcome(metrics)

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))
