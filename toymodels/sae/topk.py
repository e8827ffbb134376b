"""TopK SAE with the AuxK loss (Gao et al. 2024, arXiv 2406.04093)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import ArrayLike

from synthetic.validation import require_no_fraction, require_range
from toymodels.sae import base, revival
from toymodels.sparse_coding.select import annealed, keep_k
from toymodels.training.loop import Outcome


@struct.dataclass
class TopK:
    r"""Minimises ||x - x_hat||^2 + aux * L_aux with k latents on in each sample.

    z keeps the k largest entries of relu((x - b_dec) W_enc + b_enc), and
    x_hat = z W_dec + b_dec. Fewer than k are on where fewer are positive; more than k only
    where several tie for the k-th place, for all of these are kept. After each step the
    rows of W_dec are scaled back to length 1. L_aux is `revival.auxk` over the dead
    latents with d_model / 2 of them a sample.

    Entries that tie with the k-th largest stay on as well. Positive ones tie where latents
    read alike (equal columns and biases) or where numbers have few bits; then more than k
    are on. Fewer are where fewer are positive. To cut ties would cost a sort.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents stay on, whole, 1 <= k <= n_latents; a leaf.
        aux: weight of the auxiliary loss (1/32 in the paper); a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf. (The
            paper's 10 million tokens never pass in a toy run.)
        k_start: how many stay on at step 0, falling linearly to k (K annealing); 0 starts
            at k. A leaf.
        anneal_steps: over how many steps; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    k: ArrayLike = 4
    aux: ArrayLike = 1 / 32
    dead_after: ArrayLike = 20_000
    k_start: ArrayLike = 0
    anneal_steps: ArrayLike = 1

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        fix = "a sample cannot have more latents on than there are"
        require_range("k", self.k, 1, self.n_latents, fix)
        fix = "BatchTopK takes a mean over the batch, which may be a fraction"
        require_no_fraction("k", self.k, fix)
        require_range("aux", self.aux, low=0.0)

    def init(self, key, d_model):
        return base.init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        return keep_k(jax.nn.relu(base.pre_activation(params, x)), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def k_at(self, step):
        """How many latents stay on at a training step."""
        return jnp.round(annealed(step, self.k, self.k_start, self.anneal_steps))

    def loss(self, params, x, memory, step):
        z_pre = base.pre_activation(params, x)
        z = keep_k(jax.nn.relu(z_pre), self.k_at(step))
        x_hat = self.decode(params, z)
        error = base.squared_error(x, x_hat)
        dead = memory > self.dead_after
        aux = revival.auxk(x - x_hat, z_pre, params.W_dec, dead, x.shape[-1] // 2)
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return error + self.aux * aux, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))
