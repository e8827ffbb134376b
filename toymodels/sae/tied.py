"""SAE with one matrix (Sharkey et al. 2022; Cunningham et al. 2023, arXiv 2309.08600)."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic.directions import random
from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.training.loop import Outcome


class TiedParams(NamedTuple):
    """The weights of a tied dictionary.

    Attributes:
        W_dec: [latent, d_model], its rows the learned directions; the encoder is its
            transpose.
        b_enc: [latent].
    """

    W_dec: Array
    b_enc: Array

    __repr__ = of_fields


@struct.dataclass
class Tied:
    r"""Minimises ||x - x_hat||^2 + sparsity * sum_i z_i with one matrix of unit rows.

    z = relu(x W_dec^T + b_enc) and x_hat = z W_dec, without a decoder bias. The source
    averages the squared error over the d_model dimensions and sums the codes: its weight
    alpha is `sparsity` / d_model. As in `ReLU` the loss scales the rows, too. There is no
    way back for dead latents, as in the source: no latent can be silenced by an encoder
    that has turned away from its decoder.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty, in units of x; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)

    def init(self, key, d_model):
        W_dec = random(key, self.n_latents, d_model)
        return TiedParams(W_dec, jnp.zeros(self.n_latents, jnp.float32))

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return jax.nn.relu(base.pre_activation(untied(params), x))

    def decode(self, params, z):
        return base.decode(untied(params), z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z = self.encode(params, x)
        error = base.squared_error(x, self.decode(params, z))
        penalty = jnp.mean(jnp.sum(z, axis=-1))
        memory = revival.count_quiet(memory, z)
        metrics = {"squared_error": error, "l0": base.mean_l0(z)}
        return error + self.sparsity * penalty, Outcome(metrics, memory)

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))


def untied(params: TiedParams) -> base.Params:
    """The same dictionary with two matrices and b_dec = 0: weights for `ReLU`."""
    zero = jnp.zeros(params.W_dec.shape[-1:], params.W_dec.dtype)
    return base.Params(params.W_dec.T, params.b_enc, params.W_dec, zero)
