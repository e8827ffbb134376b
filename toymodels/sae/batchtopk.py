"""BatchTopK SAE with the AuxK loss (Bussmann et al. 2024, arXiv 2412.06410)."""

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from synthetic.validation import require_range
from toymodels.fit import Outcome
from toymodels.sae import base, revival
from toymodels.sae.select import annealed, batch_kth_largest, keep_batch_k
from toymodels.sae.tilted import tilted_mean


class ThresholdParams(NamedTuple):
    """Affine maps (see `base.Params`) and the threshold that stands for the batch.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model].
        b_dec: [d_model].
        threshold: scalar; outside training a latent is on where it exceeds this. It has no
            gradient: `after` sets it, or `calibrate`.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    threshold: Array


class Memory(NamedTuple):
    """What one batch hands to the next.

    Attributes:
        quiet: [latent], samples of silence (`revival`).
        threshold: scalar, the running mean of the smallest kept value.
        frequency: [latent], the running mean of how often each is on, where latents are
            sorted by it (`frequency`); else nothing.
    """

    quiet: Array
    threshold: Array
    frequency: Any = ()


class Thresholded(base.Dictionary, Protocol):
    """A variant that selects over the batch in training and by a threshold elsewhere."""

    @property
    def k(self) -> ArrayLike: ...

    def candidates(self, params: Any, x: base.X) -> base.Z: ...

    def encode_batch(self, params: Any, x: base.X) -> base.Z: ...


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
        tilt: how much badly reconstructed samples count more (`tilted.tilted_mean`); a
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


def require_selection(dictionary: Any) -> None:
    """Raises ValueError where the numbers of a selection over the batch make no sense."""
    n_latents = dictionary.n_latents
    require_range("n_latents", n_latents, low=1)
    fix = "it counts the latents that are on in a sample, on average"
    require_range("k", dictionary.k, 1e-3, n_latents, fix)
    require_range("aux", dictionary.aux, low=0.0)
    fix = "it is the weight of one batch in a running mean"
    require_range("threshold_rate", dictionary.threshold_rate, 0.0, 1.0, fix)


def init_tied(key: Array, n_latents: int, d_model: int) -> ThresholdParams:
    """`base.init_tied` and a threshold of 0, which keeps all that is positive."""
    return ThresholdParams(*base.init_tied(key, n_latents, d_model), jnp.zeros(()))


def above(z: base.Z, threshold: ArrayLike) -> base.Z:
    """`z` with all entries that do not exceed the threshold set to 0."""
    return jnp.where(z > threshold, z, 0)


def tracked(
    threshold: Float[Array, ""],
    z: Float[Array, "batch latent"],
    rate: ArrayLike,
    step: Int[Array, ""],
) -> Float[Array, ""]:
    """The running mean of the smallest positive entry of `z`, after one more batch.

    The weight of the new batch is `rate`, or 1 / (step + 1) while that is larger. A batch
    without a positive entry changes nothing.
    """
    z = lax.stop_gradient(z)
    smallest = jnp.min(jnp.where(z > 0, z, jnp.inf))
    weight = jnp.maximum(rate, 1 / (step + 1)).astype(threshold.dtype)
    moved = threshold + weight * (smallest - threshold)
    return jnp.where(jnp.isfinite(smallest), moved, threshold)


def exact_threshold(z: Float[Array, "*batch latent"], k: ArrayLike) -> Float[Array, ""]:
    """A threshold that exactly round(k * batch) entries of `z` >= 0 exceed.

    It lies halfway between the last entry above it and the first below, so that rounding
    in another program does not move either across. 0 where fewer entries are positive;
    entries that tie at the last place are all above.
    """
    z = z.reshape(-1, z.shape[-1])
    last = batch_kth_largest(z, k)
    kept = (z >= last) & (z > 0)
    lowest_kept = jnp.min(jnp.where(kept, z, jnp.inf))
    highest_left = jnp.max(jnp.where(kept, 0, z))
    middle = highest_left + (lowest_kept - highest_left) * 0.5
    # Between two neighbouring numbers there is no third.
    threshold = jnp.where(middle < lowest_kept, middle, highest_left)
    return jnp.where(last > 0, threshold, 0)


def calibrate(dictionary: Thresholded, params: Any, x: base.X) -> Any:
    """`params` with the threshold at which `encode` has a mean L0 of k on `x`.

    Exact on the sample: round(k * n) latents are on in its n rows (unless fewer are
    positive, where the threshold is 0, or several tie at the last place).
    """
    z = dictionary.candidates(params, x)
    return params._replace(threshold=exact_threshold(z, dictionary.k))
