"""Reaching a wanted L0: the penalty's weight is steered while training.

The rule is that of SynthSAEBench's experiments (Chanin and Garriga-Alonso 2026, arXiv
2602.14687, in their code): integral control of a multiplier, with smoothed measurements
and damping on the way to the target.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Bool, Float

from synthetic.validation import require_range
from toymodels.sae.base import Dictionary

PUBLISHED_GAIN, PUBLISHED_DAMPING = 3e-4, 0.01
_KEEP_L0, _KEEP_RATE = 0.99, 0.95
_STEEPNESS = 10.0
_LOWEST, _HIGHEST = 0.01, 100.0


class Control(NamedTuple):
    """What the controller remembers.

    Attributes:
        l0: running mean of L0 (0.99 of the old value each step).
        rate: running mean of its change in a step (0.95 of the old value).
        multiplier: of the penalty's weight, within [0.01, 100].
        is_started: whether `l0` has a value yet.
    """

    l0: Float[Array, ""]
    rate: Float[Array, ""]
    multiplier: Float[Array, ""]
    is_started: Bool[Array, ""]


def start() -> Control:
    """The state before the first batch, with multiplier 1."""
    zero = jnp.zeros((), jnp.float32)
    return Control(zero, zero, jnp.ones((), jnp.float32), jnp.asarray(False))


def update(
    control: Control,
    l0: Float[Array, ""],
    target: ArrayLike,
    gain: ArrayLike,
    damping: ArrayLike,
) -> Control:
    """The state after a batch with mean L0 `l0`.

    multiplier <- multiplier * (1 +- gain g tanh(10 |l0 - target| / target)), with plus
    while the running L0 is above the target. g is `damping` while it moves towards the
    target already, else 1.
    """
    smooth = jnp.where(
        control.is_started, control.l0 + (1 - _KEEP_L0) * (l0 - control.l0), l0
    )
    change = jnp.where(control.is_started, smooth - control.l0, 0)
    rate = _KEEP_RATE * control.rate + (1 - _KEEP_RATE) * change
    error = smooth - target
    share = jnp.where(error * rate < 0, damping, 1)
    by = gain * share * jnp.tanh(_STEEPNESS * error / target)
    multiplier = jnp.clip(control.multiplier * (1 + by), _LOWEST, _HIGHEST)
    return Control(smooth, rate, multiplier, jnp.asarray(True))


@struct.dataclass
class Controlled:
    """Any variant with a `sparsity` leaf, its weight steered until L0 meets a target.

    The weight of the penalty is `sparsity` times the controller's multiplier, which starts
    at 1 and lives in the memory. A wrapped variant (a control, an annealed penalty) is
    steered where its `sparsity` is.

    Attributes:
        inner: the variant, with a `sparsity` near the right one: the multiplier spans four
            decades.
        target_l0: mean number of latents on in a sample; a leaf.
        gain: largest relative change of the multiplier in a step; a leaf. The published
            3e-4 (`PUBLISHED_GAIN`) is for some 200,000 steps and would change it by a
            factor of at most 1.8 in 2,000; the default is for runs of a few thousand. Twice
            the default swings more and more where the learning rate falls to 0.
        damping: share of the gain while L0 moves towards the target; a leaf. In most of a
            short run L0 falls by itself, however slowly, and with the published 0.01
            (`PUBLISHED_DAMPING`) the multiplier would wait for it.
    """

    inner: Dictionary
    target_l0: ArrayLike
    gain: ArrayLike = 1e-2
    damping: ArrayLike = 0.1

    def __post_init__(self):
        require_range("target_l0", self.target_l0, low=1e-6, fix="an L0 is positive")
        require_range("gain", self.gain, low=0.0)
        require_range("damping", self.damping, low=0.0)
        _require_penalised(self.inner)

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        """The inner memory and the controller's."""
        return self.inner.memory(params), start()

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        inner, control = memory
        dictionary = _steered(self.inner, control.multiplier)
        value, outcome = dictionary.loss(params, x, inner, step)
        control = update(
            control, outcome.metrics["l0"], self.target_l0, self.gain, self.damping
        )
        metrics = outcome.metrics | {"multiplier": control.multiplier}
        return value, outcome._replace(metrics=metrics, memory=(outcome.memory, control))

    def after(self, key, state, x):
        """What `inner` does after a step."""
        inner, control = state.memory
        moved = self.inner.after(key, replace(state, memory=inner), x)
        return replace(moved, memory=(moved.memory, control))


def _steered(dictionary: Any, factor: ArrayLike) -> Any:
    """The variant with its `sparsity` times `factor`, found inside wrappers too."""
    if hasattr(dictionary, "sparsity"):
        return replace(dictionary, sparsity=dictionary.sparsity * factor)
    return replace(dictionary, inner=_steered(dictionary.inner, factor))


def _require_penalised(dictionary: Any) -> None:
    """Raises ValueError unless there is a `sparsity` to steer."""
    inner = dictionary
    while not hasattr(inner, "sparsity") and hasattr(inner, "inner"):
        inner = inner.inner
    if not hasattr(inner, "sparsity"):
        raise ValueError(
            f"inner is {type(inner).__name__}, which has no leaf `sparsity`, expected a "
            "variant with a penalty; one that selects k latents has the L0 it is given"
        )
