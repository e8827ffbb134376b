"""JumpReLU SAE: a learned threshold per latent (Rajamanoharan et al. 2024, 2407.14435)."""

from dataclasses import replace
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Bool, Float

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.sae.base import X, Z
from toymodels.sae.penalties import warm_up
from toymodels.training.loop import Outcome


class JumpReLUParams(NamedTuple):
    """The weights of `base.Params` and a threshold for each latent.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model]; its rows are the learned directions.
        b_dec: [d_model]; subtracted before encoding, added after decoding.
        threshold: [latent], in units of x. Raw and in float32: Adam moves it by about the
            learning rate a step, where the logarithm of a small threshold hardly moves
            and a bfloat16 number does not at all.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    threshold: Array

    __repr__ = of_fields


class L0Penalty(Protocol):
    """The mean over a batch of what its codes cost.

    `z` [batch, latent] are codes in typical magnitudes and `on` [batch, latent] is 1 where
    a latent is on; both carry the pseudo-gradients to the thresholds.
    """

    def __call__(self, z: Z, on: Z) -> Float[Array, ""]: ...


@struct.dataclass
class Step:
    """The number of latents that are on (L0)."""

    def __call__(self, z, on):
        return jnp.mean(jnp.sum(on, axis=-1))


@struct.dataclass
class Tanh:
    """sum_i tanh(sharpness z_i), a smooth L0 (Anthropic, January 2025).

    It also pulls small codes down, which the step does not.

    Attributes:
        sharpness: how steep, per typical magnitude; a leaf.
    """

    sharpness: ArrayLike = 4.0

    def __call__(self, z, on):
        return jnp.mean(jnp.sum(jnp.tanh(self.sharpness * z), axis=-1))


@struct.dataclass
class Quadratic:
    """(L0 / target - 1)^2, which pulls L0 to a target from both sides.

    Attributes:
        target: the L0 to reach; a leaf.
        spread: weight of the variance of L0 over samples, in (L0 / target)^2; a leaf. At 1
            the penalty is the mean of the samples' own squares, as published, which asks
            every sample for the same L0; at 0 only the mean over the batch counts.
    """

    target: ArrayLike
    spread: ArrayLike = 0.0

    def __post_init__(self):
        require_range("target", self.target, low=1e-6, fix="an L0 is positive")

    def __call__(self, z, on):
        share = jnp.sum(on, axis=-1) / self.target
        return jnp.square(jnp.mean(share) - 1) + self.spread * jnp.var(share)


@struct.dataclass
class JumpReLU:
    r"""Minimises ||x - x_hat||^2 + sparsity * scale^2 * L0 with learned thresholds.

    z_pre = (x - b_dec) W_enc + b_enc, z = z_pre where z_pre > threshold, else 0, and
    x_hat = z W_dec + b_dec. The thresholds learn through the pseudo-gradients of `jump`
    and `heaviside`. After each step the rows of W_dec are scaled to length 1, so that
    thresholds and bandwidth are magnitudes in units of x, and thresholds below 0 become 0.
    As in `ReLU` the loss scales the rows too. Dead latents come back by `revival.auxk`
    and `out_of_reach`, which together bring more of them back than each alone.

    A threshold learns from the samples whose z_pre lies within half a bandwidth of it, so
    the bandwidth must fit the data. Too narrow, hardly a sample counts. Too wide, the
    window reaches the many samples without the feature, whose z_pre is near 0: they hold
    the threshold at half a bandwidth, whatever the penalty. The rule: with a the typical
    magnitude of a feature that is present, thresholds start at a / 2 and the bandwidth is
    a / 2. For a tied start with unit rows that is the order of the standard deviation of
    z_pre, sqrt(E||x||^2 / d_model). Both are given relative to the leaf `scale`, which is
    a (`typical_magnitude` estimates it); so is the weight of the penalty: a latent is
    worth its place where it lowers the squared error by sparsity * scale^2.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        sparsity: weight of the penalty, in squared typical magnitudes; a leaf.
        penalty: `Step`, `Tanh` or `Quadratic`.
        scale: typical magnitude of a feature, in units of x; a leaf. (0.5 is the mean of
            the magnitudes uniform on (0, 1) that worlds have by default.)
        bandwidth: width of the kernel, in typical magnitudes; a leaf.
        start: of the thresholds, in typical magnitudes; a leaf.
        to_input: share of the pseudo-gradient that also goes to z_pre, 0 in Rajamanoharan
            et al., 1 in Anthropic's form; a leaf.
        warmup_steps: over how many steps the penalty's weight rises from 0; a leaf.
        aux: weight of `revival.auxk`, which turns dead latents to what is missing; a leaf.
        pre_act: weight of scale * `out_of_reach`, which lets them fire again; a leaf.
        dead_after: samples of silence after which a latent counts as dead; a leaf.
    """

    n_latents: int = struct.field(pytree_node=False)
    sparsity: ArrayLike = 0.1
    penalty: L0Penalty = Step()
    scale: ArrayLike = 0.5
    bandwidth: ArrayLike = 0.5
    start: ArrayLike = 0.5
    to_input: ArrayLike = 0.0
    warmup_steps: ArrayLike = 0
    aux: ArrayLike = 1.0
    pre_act: ArrayLike = 0.01
    dead_after: ArrayLike = 10_000

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        fix = "no sample would lie within the kernel, and thresholds would not learn"
        require_range("scale", self.scale, low=1e-30, fix=fix)
        require_range("bandwidth", self.bandwidth, low=1e-30, fix=fix)
        require_range("start", self.start, low=0.0, fix="codes would be negative")
        require_range("warmup_steps", self.warmup_steps, low=0)
        require_range("aux", self.aux, low=0.0)
        require_range("pre_act", self.pre_act, low=0.0)

    def init(self, key, d_model):
        start = jnp.full(self.n_latents, self.start * self.scale, jnp.float32)
        return JumpReLUParams(*base.init_tied(key, self.n_latents, d_model), start)

    def memory(self, params):
        return revival.all_alive(self.n_latents)

    def encode(self, params, x):
        z_pre = base.pre_activation(params, x)
        return jnp.where(z_pre > params.threshold, z_pre, 0)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        params = base.with_unit_rows(params)
        z_pre = base.pre_activation(params, x)
        kernel = (params.threshold, self.bandwidth * self.scale, self.to_input)
        z, on = jump(z_pre, *kernel), heaviside(z_pre, *kernel)
        x_hat = self.decode(params, z)
        error = base.squared_error(x, x_hat)
        weight = self.sparsity * self.scale**2 * warm_up(step, self.warmup_steps)
        dead = memory > self.dead_after
        aux = revival.auxk(x - x_hat, z_pre, params.W_dec, dead, x.shape[-1] // 2)
        reach = self.scale * out_of_reach(z_pre, params.threshold, dead)
        revived = self.aux * aux + self.pre_act * reach
        value = error + weight * self.penalty(z / self.scale, on) + revived
        metrics = {"squared_error": error, "l0": base.mean_l0(z), "dead": dead.mean()}
        return value, Outcome(metrics, revival.count_quiet(memory, z))

    def after(self, key, state, x):
        params = base.with_unit_rows(state.params)
        threshold = jnp.maximum(params.threshold, 0)
        return replace(state, params=params._replace(threshold=threshold))


def out_of_reach(
    z_pre: Z, threshold: Float[Array, " latent"], dead: Bool[Array, " latent"]
) -> Float[Array, ""]:
    """sum over dead latents of relu(threshold - z_pre) (Anthropic, January 2025).

    Where z_pre stays more than half a bandwidth below its threshold, nothing else moves
    the threshold.
    """
    below = jax.nn.relu(threshold - z_pre)
    return jnp.mean(jnp.sum(jnp.where(dead, below, 0), axis=-1))


def typical_magnitude(x: X, l0: ArrayLike) -> Float[Array, ""]:
    """sqrt(E||x - E x||^2 / l0): the magnitude of each of `l0` orthogonal parts of x.

    A value for `JumpReLU.scale` when the L0 to expect is known.
    """
    require_range("l0", l0, low=1e-6, fix="an L0 is positive")
    rows = x.reshape(-1, x.shape[-1])
    return jnp.sqrt(jnp.sum(jnp.var(rows, axis=0)) / l0)


@jax.custom_jvp
def jump(
    z_pre: Z, threshold: Float[Array, " latent"], bandwidth: ArrayLike, to_input: ArrayLike
) -> Z:
    """z_pre where z_pre > threshold, else 0, with pseudo-gradients.

    d z / d threshold = -(threshold / bandwidth) K((z_pre - threshold) / bandwidth) with
    the rectangle K(u) = 1 where |u| < 1/2. `to_input` times the negative of it is added to
    d z / d z_pre, which is else 1 where the latent is on.
    """
    return jnp.where(z_pre > threshold, z_pre, 0)


@jump.defjvp
def _(primals, tangents):
    z_pre, threshold, *_ = primals
    on = z_pre > threshold
    through = threshold * _through_the_step(primals, tangents)
    return jnp.where(on, z_pre, 0), jnp.where(on, tangents[0], 0) + through


@jax.custom_jvp
def heaviside(
    z_pre: Z, threshold: Float[Array, " latent"], bandwidth: ArrayLike, to_input: ArrayLike
) -> Z:
    """1 where z_pre > threshold, else 0, with pseudo-gradients.

    d on / d threshold = -(1 / bandwidth) K((z_pre - threshold) / bandwidth), K as in
    `jump`; `to_input` times the negative of it goes to z_pre.
    """
    return jnp.where(z_pre > threshold, 1, 0).astype(z_pre.dtype)


@heaviside.defjvp
def _(primals, tangents):
    z_pre, threshold, *_ = primals
    on = jnp.where(z_pre > threshold, 1, 0).astype(z_pre.dtype)
    return on, _through_the_step(primals, tangents)


def _through_the_step(primals, tangents) -> Z:
    """(1 / bandwidth) K times what moves z_pre above its threshold."""
    z_pre, threshold, *numbers = primals
    bandwidth, to_input = (jnp.asarray(number, z_pre.dtype) for number in numbers)
    inside = jnp.abs(z_pre - threshold) < bandwidth / 2
    return jnp.where(inside, (to_input * tangents[0] - tangents[1]) / bandwidth, 0)
