"""BatchTopK crosscoder (Minder et al. 2025, arXiv 2504.02922)."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.sae.april import lengths
from toymodels.sae.elsewhere import crosscoder
from toymodels.sae.threshold import Memory, above, require_selection, tracked
from toymodels.sparse_coding.select import keep_batch_k
from toymodels.training.loop import Outcome


class ThresholdCrosscoderParams(NamedTuple):
    """The weights of `crosscoder.CrosscoderParams` and a threshold.

    Attributes:
        W_enc: [source, d_model, latent].
        b_enc: [latent].
        W_dec: [latent, source, d_model].
        b_dec: [source, d_model].
        threshold: scalar, of z_i sum_s ||W_dec_is||; not trained, see
            `threshold.ThresholdParams`.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    threshold: Array

    __repr__ = of_fields


@struct.dataclass
class BatchTopKCrosscoder:
    r"""Minimises sum_s ||x_s - x_hat_s||^2 + aux * L_aux with k latents on per sample.

    As `Crosscoder`, without a penalty: in training the k * batch largest
    z_i sum_s ||W_dec_is|| of the batch stay on. The lengths make the selection blind to
    how a product of code and rows is divided between the two. Outside training `encode`
    keeps what exceeds `params.threshold`, and `threshold.calibrate` sets it exactly.
    L_aux is `revival.auxk` on all sources side by side, with d_model / 2 dead latents a
    sample.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents stay on per sample, averaged over the batch; a leaf.
        n_sources: static.
        aux: weight of the auxiliary loss; a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
        threshold_rate: weight of a new batch in the running threshold; a leaf.
        start_norm: length of every row of W_dec at the start; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4
    n_sources: int = struct.field(pytree_node=False, default=2)
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000
    threshold_rate: ArrayLike = 0.01
    start_norm: ArrayLike = 1.0

    def __post_init__(self):
        require_selection(self)
        require_range("n_sources", self.n_sources, low=1)
        require_range("start_norm", self.start_norm, low=1e-6, fix="nothing would learn")

    def init(self, key, d_model):
        shape = self.n_latents, self.n_sources, d_model
        start = crosscoder.init(key, *shape, self.start_norm)
        return ThresholdCrosscoderParams(*start, jnp.zeros((), jnp.float32))

    def memory(self, params):
        return Memory(revival.all_alive(self.n_latents), params.threshold)

    def candidates(self, params, x):
        """What competes for a place: relu(sum_s x_s W_enc_s + b_enc) times the lengths."""
        z_pre = crosscoder.pre_activation(params, x)
        return jax.nn.relu(z_pre) * total_length(params.W_dec)

    def encode(self, params, x):
        kept = above(self.candidates(params, x), params.threshold)
        return kept / total_length(params.W_dec)

    def encode_batch(self, params, x):
        """The codes as in training: k * batch latents on, over all of `x` together."""
        kept = keep_batch_k(self.candidates(params, x), self.k)
        return kept / total_length(params.W_dec)

    def decode(self, params, z):
        return crosscoder.decode(params, z)

    def loss(self, params, x, memory, step):
        size = total_length(params.W_dec)
        z_pre = crosscoder.pre_activation(params, x) * size
        kept = keep_batch_k(jax.nn.relu(z_pre), self.k)
        z = kept / size
        residual = x - self.decode(params, z)
        error = jnp.sum(crosscoder.source_errors(residual, jnp.zeros((), jnp.float32)))
        dead = memory.quiet > self.dead_after
        rows = (params.W_dec / size[:, None, None]).reshape(self.n_latents, -1)
        flat = residual.reshape(len(x), -1)
        aux = revival.auxk(flat, z_pre, rows, dead, x.shape[-1] // 2)
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        quiet = revival.count_quiet(memory.quiet, z)
        threshold = tracked(memory.threshold, kept, self.threshold_rate, step)
        return error + self.aux * aux, Outcome(metrics, Memory(quiet, threshold))

    def after(self, key, state, x):
        params = state.params._replace(threshold=state.memory.threshold)
        return replace(state, params=params)


def total_length(W_dec: Float[Array, "latent source d_model"]) -> Float[Array, " latent"]:
    """sum_s ||W_dec_is||, or 1 for a latent whose rows are all 0."""
    total = jnp.sum(lengths(W_dec), axis=-1)
    return jnp.where(total > 0, total, 1)
