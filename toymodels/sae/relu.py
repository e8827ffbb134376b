"""ReLU SAE with an L1 penalty (Bricken et al. 2023; Cunningham et al. 2023)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.sae.penalties import L1, CodePenalty
from toymodels.training import unrolled
from toymodels.training.loop import Outcome


@struct.dataclass
class ReLU:
    r"""Minimises ||x - x_hat||^2 + sparsity * sum_i z_i with unit decoder rows.

    z = relu((x - b_dec) W_enc + b_enc) and x_hat = z W_dec + b_dec. With rows of length 1
    the penalty equals the norm-weighted one, sum_i z_i ||W_dec_i||. After each step the
    rows are scaled back to length 1 and dead latents are brought back. The loss scales
    them too, so that no gradient goes along a row: Adam, which scales each coordinate on
    its own, would turn it into a pull towards the diagonals.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty; a leaf, in units of the data (L1 scales with x,
            the squared error with x^2).
        revive: when and how dead latents come back, `revival.Resample` or
            `revival.RandomRestart`; None leaves them dead.
        penalty: of the codes; L1 by default.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1
    revive: revival.Revival | None = revival.Resample()
    penalty: CodePenalty = L1()

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

    def penalised(self, params, x):
        """What the penalty counts: the codes."""
        return self.encode(params, x)

    def loss(self, params, x, memory, step):
        z, x_hat = self._codes(base.with_unit_rows(params), x)
        error = base.squared_error(x, x_hat)
        metrics = {"squared_error": error, "l0": base.mean_l0(z)}
        memory = revival.count_quiet(memory, z)
        return error + self.sparsity * self.penalty(z), Outcome(metrics, memory)

    def after(self, key, state, x):
        state = replace(state, params=base.with_unit_rows(state.params))
        return revival.when_due(key, self, state, x, self.revive)

    def _codes(self, params: base.Params, x: base.X) -> tuple[base.Z, base.X]:
        """z and x_hat; products with very small weights are written out."""
        if not unrolled.pays(params.W_enc, most_rows=8):
            z = self.encode(params, x)
            return z, self.decode(params, z)
        z = jax.nn.relu(_product(x - params.b_dec, params.W_enc) + params.b_enc)
        return z, _product(z, params.W_dec) + params.b_dec


def _product(x: Array, W: Array) -> Array:
    return jnp.stack(unrolled.product(unrolled.columns(x), W), axis=-1)
