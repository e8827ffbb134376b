"""ReLU SAE with free decoder norms (Conerly et al., Anthropic, April 2024)."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.sae.penalties import warm_up
from toymodels.training.loop import Outcome


@struct.dataclass
class ReLUApril:
    r"""Minimises ||x - x_hat||^2 + sparsity * sum_i z_i ||W_dec_i|| with free norms.

    z = relu((x - pre_bias b_dec) W_enc + b_enc) and x_hat = z W_dec + b_dec. The penalty
    is blind to how a product z_i W_dec_i is divided between its factors, so that nothing
    is gained by small codes and long rows. Rows and columns start along the same random
    directions at length `start_norm`, biases at 0.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty, in units of x; a leaf.
        warmup_steps: over how many steps that weight rises from 0 (5 % of the run in the
            source); a leaf.
        pre_bias: share of b_dec that is subtracted before encoding, 0 in the source, 1
            for SAELens' `apply_b_dec_to_input`; a leaf.
        start_norm: length of the rows of W_dec and the columns of W_enc at the start; a
            leaf.
        revive: when and how dead latents come back; None, as in the source, leaves them
            dead.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1
    warmup_steps: ArrayLike = 200
    pre_bias: ArrayLike = 0.0
    start_norm: ArrayLike = 0.1
    revive: revival.Revival | None = None

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        require_range("warmup_steps", self.warmup_steps, low=0)
        require_range("start_norm", self.start_norm, low=1e-6, fix="nothing would learn")

    def init(self, key, d_model):
        params = base.init_tied(key, self.n_latents, d_model)
        W_dec = jnp.asarray(self.start_norm, params.W_dec.dtype) * params.W_dec
        return params._replace(W_enc=W_dec.T, W_dec=W_dec)

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        before = params._replace(b_dec=self.pre_bias * params.b_dec)
        return jax.nn.relu(base.pre_activation(before, x))

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        z = self.encode(params, x)
        error = base.squared_error(x, self.decode(params, z))
        penalty = jnp.mean(z @ lengths(params.W_dec))
        weight = self.sparsity * warm_up(step, self.warmup_steps)
        metrics = {"squared_error": error, "l0": base.mean_l0(z)}
        memory = revival.count_quiet(memory, z)
        return error + weight * penalty, Outcome(metrics, memory)

    def after(self, key, state, x):
        return revival.when_due(key, self, state, x, self.revive)


def lengths(rows: Float[Array, "row d_model"]) -> Float[Array, " row"]:
    """The length of each row; that of a row of zeros has gradient 0."""
    square = jnp.sum(jnp.square(rows), axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
