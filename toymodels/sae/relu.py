"""ReLU SAE with an L1 penalty (Bricken et al. 2023; Cunningham et al. 2023)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import ArrayLike

from synthetic.validation import require_range
from toymodels.fit import Outcome
from toymodels.sae import base, revival


@struct.dataclass
class ReLU:
    r"""Minimises ||x - x_hat||^2 + sparsity * sum_i z_i with unit decoder rows.

    z = relu((x - b_dec) W_enc + b_enc) and x_hat = z W_dec + b_dec. With rows of length 1
    the penalty equals the norm-weighted one, sum_i z_i ||W_dec_i||. After each step the
    rows are scaled back to length 1 and dead latents are resampled (`revival.resample`).

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty; a leaf, in units of the data (L1 scales with x,
            the squared error with x^2).
        revive: when and how dead latents come back; None leaves them dead.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1
    revive: revival.Resample | None = revival.Resample()

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)

    def init(self, key, d_model):
        return base.init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return jax.nn.relu(base.pre_activation(params, x))

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        z = self.encode(params, x)
        error = base.squared_error(x, self.decode(params, z))
        penalty = jnp.mean(jnp.sum(z, axis=-1))
        metrics = {"squared_error": error, "l0": base.mean_l0(z)}
        memory = revival.count_quiet(memory, z)
        return error + self.sparsity * penalty, Outcome(metrics, memory)

    def after(self, key, state, x):
        state = replace(state, params=base.with_unit_rows(state.params))
        revive = self.revive
        if revive is None:
            return state
        dead = state.memory > revive.dead_after

        def revived(state):
            x_hat = self.decode(state.params, self.encode(state.params, x))
            return revival.resample(key, state, x, x_hat, dead, revive.scale)

        due = revive.is_due(state.step)
        return lax.cond(due, revived, lambda state: state, state)
