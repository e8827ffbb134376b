"""BatchTopK SAE with the AuxK loss (Bussmann et al. 2024, arXiv 2412.06410)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import ArrayLike

from toymodels.sae import base, revival
from toymodels.sae.penalties import tilted_mean
from toymodels.sae.threshold import Memory, above, init_tied, require_selection, tracked
from toymodels.sparse_coding.select import annealed, keep_batch_k
from toymodels.training.loop import Outcome


@struct.dataclass
class BatchTopK:
    r"""Minimises ||x - x_hat||^2 + aux * L_aux with k latents on per sample, on average.

    In training z keeps the k * batch largest entries of relu((x - b_dec) W_enc + b_enc)
    over the whole batch, all leading axes of x together; x_hat = z W_dec + b_dec. After
    each step the rows of W_dec are scaled back to length 1. L_aux is `revival.auxk` over
    the dead latents with d_model / 2 of them a sample.

    `encode` is the exported form: z keeps what exceeds `params.threshold`, each sample on
    its own. The threshold is a running mean of the smallest kept value, over the last
    1 / threshold_rate batches or so. That is an estimate, and its L0 is not k: a mean of
    order statistics is no quantile of all samples together (where the tail is convex it
    lies above it, and L0 below k), and the mean lags: while thresholds rise, in training
    or with a falling k, it lies too low, and L0 above k. `calibrate` is exact.
    `encode_batch` gives the codes as in training, which published protocols score.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents stay on per sample, averaged over the batch; may be a fraction
            (1.8); a leaf.
        aux: weight of the auxiliary loss (1/32 in the paper); a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
        k_start: k at step 0, falling linearly to k (K annealing); 0 starts at k. A leaf.
        anneal_steps: over how many steps; a leaf.
        threshold_rate: weight of a new batch in the running mean; a leaf. The first
            1 / threshold_rate batches count alike, so that nothing of the start remains.
        tilt: how much badly reconstructed samples count more (`penalties.tilted_mean`); a
            leaf, 0 for the plain mean.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000
    k_start: ArrayLike = 0
    anneal_steps: ArrayLike = 1
    threshold_rate: ArrayLike = 0.01
    tilt: ArrayLike = 0.0

    def __post_init__(self):
        require_selection(self)

    def init(self, key, d_model):
        return init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        return Memory(revival.all_alive(self.n_latents), params.threshold)

    def candidates(self, params, x):
        """What competes for a place in z: relu((x - b_dec) W_enc + b_enc)."""
        return jax.nn.relu(base.pre_activation(params, x))

    def encode(self, params, x):
        return above(self.candidates(params, x), params.threshold)

    def encode_batch(self, params, x):
        """The codes as in training: k * batch latents on, over all of `x` together."""
        return keep_batch_k(self.candidates(params, x), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def k_at(self, step):
        """How many latents stay on per sample at a training step, on average."""
        return annealed(step, self.k, self.k_start, self.anneal_steps)

    def loss(self, params, x, memory, step):
        x = x.reshape(-1, x.shape[-1])
        z_pre = base.pre_activation(params, x)
        z = keep_batch_k(jax.nn.relu(z_pre), self.k_at(step))
        return self.objective(params, x, z_pre, z, memory, step)

    def objective(self, params, x, z_pre, z, memory, step):
        """The loss of given codes, selected from `z_pre`; both [batch, latent]."""
        residual = x - self.decode(params, z)
        errors = jnp.sum(jnp.square(residual), axis=-1)
        error = tilted_mean(errors, self.tilt)
        dead = memory.quiet > self.dead_after
        aux = revival.auxk(residual, z_pre, params.W_dec, dead, x.shape[-1] // 2)
        metrics = {
            "squared_error": jnp.mean(errors),
            "l0": base.mean_l0(z),
            "dead": dead.mean(),
        }
        quiet = revival.count_quiet(memory.quiet, z)
        threshold = tracked(memory.threshold, z, self.threshold_rate, step)
        return error + self.aux * aux, Outcome(metrics, Memory(quiet, threshold))

    def after(self, key, state, x):
        params = base.with_unit_rows(state.params)
        params = params._replace(threshold=state.memory.threshold)
        return replace(state, params=params)
