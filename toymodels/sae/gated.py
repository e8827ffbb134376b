"""Gated SAE: which latents are on, and how strongly, apart (Rajamanoharan et al. 2024).

arXiv 2404.16014.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike

from synthetic.directions import random
from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.sae.base import X, Z
from toymodels.sae.jumprelu import JumpReLUParams
from toymodels.sae.penalties import L1, CodePenalty, warm_up
from toymodels.training.loop import Outcome


class GatedParams(NamedTuple):
    """The weights of a gated dictionary.

    Attributes:
        W_enc: [d_model, latent], of the gates.
        r_mag: [latent]; the magnitudes' encoder is W_enc * exp(r_mag).
        b_gate: [latent].
        b_mag: [latent].
        W_dec: [latent, d_model]; its rows are the learned directions.
        b_dec: [d_model]; subtracted before encoding, added after decoding.
    """

    W_enc: Array
    r_mag: Array
    b_gate: Array
    b_mag: Array
    W_dec: Array
    b_dec: Array

    __repr__ = of_fields


@struct.dataclass
class Gated:
    r"""Minimises ||x - x_hat||^2 + sparsity * penalty(g) + ||x - (g W_dec + b_dec)||^2.

    gate = (x - b_dec) W_enc + b_gate, g = relu(gate), and z is
    relu((x - b_dec) (W_enc * exp(r_mag)) + b_mag) where gate > 0, else 0;
    x_hat = z W_dec + b_dec. Only g is penalised, so that magnitudes do not shrink; the
    last term teaches the gates, and in it W_dec and b_dec are held constant. After each
    step the rows of W_dec are scaled to length 1, which the loss does too.

    Holding the decoder constant belongs to unit rows. With free norms and a norm-weighted
    penalty it would have to learn in both terms; that form is not offered.

    The source has no way back for dead latents; here it is `revival.auxk` on the gates.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty, in units of x; a leaf. It must be larger than for
            `ReLU`: magnitudes do not shrink, so less of it goes into opening fewer gates.
        penalty: of the gates' activations g; L1 in the source.
        warmup_steps: over how many steps that weight rises from 0; a leaf.
        aux: weight of the auxiliary loss of dead latents; a leaf, 0 for the source.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.3
    penalty: CodePenalty = L1()
    warmup_steps: ArrayLike = 0
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        require_range("warmup_steps", self.warmup_steps, low=0)
        require_range("aux", self.aux, low=0.0)

    def init(self, key, d_model):
        W_dec = random(key, self.n_latents, d_model)
        r_mag, b_gate, b_mag = jnp.zeros((3, self.n_latents), jnp.float32)
        return GatedParams(
            W_dec.T, r_mag, b_gate, b_mag, W_dec, jnp.zeros(d_model, jnp.float32)
        )

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return _codes(params, gates(params, x))

    def decode(self, params, z):
        return base.decode(params, z)

    def penalised(self, params, x):
        """What the penalty counts: relu(gate)."""
        return jax.nn.relu(gates(params, x))

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        gate = gates(params, x)
        z, g = _codes(params, gate), jax.nn.relu(gate)
        x_hat = self.decode(params, z)
        error = base.squared_error(x, x_hat)
        constant = params._replace(
            W_dec=lax.stop_gradient(params.W_dec), b_dec=lax.stop_gradient(params.b_dec)
        )
        gate_error = base.squared_error(x, self.decode(constant, g))
        penalty = self.sparsity * warm_up(step, self.warmup_steps) * self.penalty(g)
        dead = memory > self.dead_after
        aux = revival.auxk(x - x_hat, gate, params.W_dec, dead, x.shape[-1] // 2)
        value = error + penalty + gate_error + self.aux * aux
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return value, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))


def gates(params: GatedParams, x: X) -> Z:
    """(x - b_dec) W_enc + b_gate; a latent is on where it is positive."""
    as_encoder = base.Params(params.W_enc, params.b_gate, params.W_dec, params.b_dec)
    return base.pre_activation(as_encoder, x)


def as_jumprelu(params: GatedParams) -> JumpReLUParams:
    """The same dictionary as a JumpReLU: theta = b_mag - exp(r_mag) b_gate, or 0 if less.

    gate > 0 says that the magnitude's pre-activation exceeds theta, and relu that it
    exceeds 0. Codes agree wherever rounding leaves both sides of a threshold apart.
    """
    gain = jnp.exp(params.r_mag)
    threshold = jnp.maximum(params.b_mag - gain * params.b_gate, 0)
    W_enc = params.W_enc * gain
    return JumpReLUParams(W_enc, params.b_mag, params.W_dec, params.b_dec, threshold)


def _codes(params: GatedParams, gate: Z) -> Z:
    """The magnitudes where gates are open; both share the product with W_enc."""
    magnitude = jnp.exp(params.r_mag) * (gate - params.b_gate) + params.b_mag
    return jnp.where(gate > 0, jax.nn.relu(magnitude), 0)
