"""Crosscoders: one set of latents for several models or layers (Lindsey et al. 2024)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.directions import random
from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_width
from toymodels.sae import base
from toymodels.sae.april import lengths
from toymodels.sae.penalties import warm_up
from toymodels.training.loop import Outcome

X = Float[Array, "*batch source d_model"]


class CrosscoderParams(NamedTuple):
    """One encoder and one decoder per source, on the same latents.

    Attributes:
        W_enc: [source, d_model, latent].
        b_enc: [latent].
        W_dec: [latent, source, d_model]; the row of latent i in source s is W_dec[i, s].
        b_dec: [source, d_model].
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array

    __repr__ = of_fields


@struct.dataclass
class Crosscoder:
    r"""Minimises sum_s ||x_s - x_hat_s||^2 + sparsity * sum_i z_i sum_s ||W_dec_is||.

    Samples are seen by several sources, x [batch, source, d_model].
    z = relu(sum_s x_s W_enc_s + b_enc) is one code for all of them, and
    x_hat_s = z W_dec_s + b_dec_s. The penalty adds the lengths of a latent's rows, so a
    row that a source does not need becomes 0: `relative_lengths` tells which latents
    belong to which source. It also makes shared features look like one source's, where
    their rows shrink unevenly or a latent for both loses to two for one each (Minder et
    al. 2025, arXiv 2504.02922); `BatchTopKCrosscoder` has no such penalty.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        n_sources: static.
        sparsity: weight of the penalty, in units of x; a leaf.
        warmup_steps: over how many steps that weight rises from 0; a leaf.
        start_norm: length of every row of W_dec at the start; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    n_sources: int = struct.field(pytree_node=False, default=2)
    sparsity: ArrayLike = 0.1
    warmup_steps: ArrayLike = 200
    start_norm: ArrayLike = 0.1

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("n_sources", self.n_sources, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        require_range("warmup_steps", self.warmup_steps, low=0)
        require_range("start_norm", self.start_norm, low=1e-6, fix="nothing would learn")

    def init(self, key, d_model):
        return init(key, self.n_latents, self.n_sources, d_model, self.start_norm)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        return jax.nn.relu(pre_activation(params, x))

    def decode(self, params, z):
        return decode(params, z)

    def loss(self, params, x, memory, step):
        z = self.encode(params, x)
        errors = source_errors(x, self.decode(params, z))
        penalty = jnp.mean(z @ jnp.sum(lengths(params.W_dec), axis=-1))
        weight = self.sparsity * warm_up(step, self.warmup_steps)
        metrics = {"squared_error": jnp.sum(errors), "l0": base.mean_l0(z)}
        return jnp.sum(errors) + weight * penalty, Outcome(metrics)

    def after(self, key, state, x):
        return state


def init(
    key: Key[Array, ""], n_latents: int, n_sources: int, d_model: int, norm: ArrayLike
) -> CrosscoderParams:
    """Rows along random directions at length `norm`, the encoders their transposes."""
    rows = jnp.asarray(norm, jnp.float32) * random(key, n_latents * n_sources, d_model)
    W_dec = rows.reshape(n_latents, n_sources, d_model)
    W_enc = jnp.transpose(W_dec, (1, 2, 0))
    b_dec = jnp.zeros((n_sources, d_model), jnp.float32)
    return CrosscoderParams(W_enc, jnp.zeros(n_latents, jnp.float32), W_dec, b_dec)


def pre_activation(params: Any, x: X) -> base.Z:
    """sum_s x_s W_enc_s + b_enc.

    Raises:
        ValueError: `x` has another number of sources, another width, is empty, or
            (outside jit) is not finite.
    """
    n_sources, d_model, n_latents = params.W_enc.shape
    base.require_data(x, d_model)
    came = jnp.shape(x)[-2] if jnp.ndim(x) > 1 else 0
    fix = "x is [*batch, source, d_model]"
    require_width("the number of sources in x", came, n_sources, fix)
    flat = x.reshape(*x.shape[:-2], n_sources * d_model)
    return flat @ params.W_enc.reshape(n_sources * d_model, n_latents) + params.b_enc


def decode(params: Any, z: base.Z) -> X:
    """z W_dec_s + b_dec_s for every source."""
    n_latents, n_sources, d_model = params.W_dec.shape
    flat = base.combine(z, params.W_dec.reshape(n_latents, n_sources * d_model))
    return flat.reshape(*z.shape[:-1], n_sources, d_model) + params.b_dec


def source_errors(x: X, x_hat: X) -> Float[Array, " source"]:
    """||x_s - x_hat_s||^2 of each source, averaged over the batch."""
    error = jnp.sum(jnp.square(x - x_hat), axis=-1)
    return jnp.mean(error.reshape(-1, error.shape[-1]), axis=0)


def relative_lengths(params: Any) -> Float[Array, "latent source"]:
    """||W_dec_is|| / sum_t ||W_dec_it||: the share of each source in a latent.

    For two sources 0.5 is a latent of both, and 0 and 1 are latents of one alone. A latent
    whose rows are all 0 has equal shares.
    """
    length = lengths(params.W_dec)
    total = jnp.sum(length, axis=-1, keepdims=True)
    share = length / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, share, 1 / length.shape[-1])
