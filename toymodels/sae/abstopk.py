"""AbsTopK SAE, with signed codes (Zhu et al. 2025, arXiv 2510.00404)."""

from dataclasses import replace

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Bool

from synthetic.validation import require_no_fraction, require_range
from toymodels.sae import base, revival
from toymodels.sparse_coding.select import annealed, keep_k_signed
from toymodels.training.loop import Outcome


@struct.dataclass
class AbsTopK:
    r"""Minimises ||x - x_hat||^2 + aux * L_aux with k signed latents on in each sample.

    z keeps the k entries of (x - b_dec) W_enc + b_enc that are largest in magnitude, with
    their signs, and x_hat = z W_dec + b_dec: one latent can stand for both ends of an
    axis. Entries of the same magnitude as the k-th stay on as well (see `TopK`). After each
    step the rows of W_dec are scaled back to length 1. L_aux is AuxK as in `TopK`, by
    magnitude too.

    A latent and its row may change sign together without any effect, so compare its row
    with a feature by the magnitude of the cosine; "on" means z != 0.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        k: how many latents stay on, whole, 1 <= k <= n_latents; a leaf.
        aux: weight of the auxiliary loss; a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
        k_start: how many stay on at step 0, falling linearly to k; 0 starts at k. A leaf.
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
        return keep_k_signed(base.pre_activation(params, x), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        z_pre = base.pre_activation(params, x)
        k = jnp.round(annealed(step, self.k, self.k_start, self.anneal_steps))
        z = keep_k_signed(z_pre, k)
        x_hat = self.decode(params, z)
        error = base.squared_error(x, x_hat)
        dead = memory > self.dead_after
        k_aux = x.shape[-1] // 2
        aux = revival.auxk(x - x_hat, z_pre, params.W_dec, dead, k_aux, keep_k_signed)
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return error + self.aux * aux, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        return replace(state, params=base.with_unit_rows(state.params))


def turned(params: base.Params, over: Bool[Array, " latent"]) -> base.Params:
    """The same dictionary with the codes and rows of the latents `over` negated.

    The reconstruction stays as it is. Turn those with a negative mean code, and rows point
    along features that are positive.
    """
    sign = jnp.where(over, -1, 1).astype(params.W_dec.dtype)
    return params._replace(
        W_enc=params.W_enc * sign,
        b_enc=params.b_enc * sign,
        W_dec=params.W_dec * sign[:, None],
    )
