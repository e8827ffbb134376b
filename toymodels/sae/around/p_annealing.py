"""Penalties |z|^p whose power falls while training (Karvonen et al. 2024, 2408.00113)."""

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from synthetic.validation import concrete, require_range
from toymodels.sae.base import Dictionary, X, Z
from toymodels.sae.penalties import CodePenalty, Power

_QUEUE = 10


class Penalised(Dictionary, Protocol):
    """A variant whose penalty is exchangeable: `ReLU`, `Gated`.

    Attributes:
        sparsity: weight of the penalty.
        penalty: of what `penalised` gives.
    """

    @property
    def sparsity(self) -> ArrayLike: ...

    @property
    def penalty(self) -> CodePenalty: ...

    def penalised(self, params: Any, x: X) -> Z: ...


class Annealing(NamedTuple):
    """What the schedule remembers.

    Attributes:
        weight: factor that the penalty's weight has gained since the start.
        costs: [10, 2], the latest batches' penalties at the present power and the next.
        count: batches since the power last changed.
    """

    weight: Float[Array, ""]
    costs: Float[Array, "batch 2"]
    count: Int[Array, ""]


@struct.dataclass
class PAnnealing:
    r"""A variant whose penalty becomes sparsity * weight * sum_i z_i^p with p falling.

    The power goes from `p_start` to `p_end` in `n_updates` equal steps, the last of them
    at step `end`, so that the rest of the run has the power `p_end`. At each of them
    `weight` is multiplied by the ratio of the penalty at the old power to that at the new
    one, over the last ten batches, so that the loss goes on where it was. For `Gated` the
    penalty is that of the gates. `Power` has the eps that keeps slopes finite.

    Attributes:
        inner: the variant; its `penalty` is replaced.
        p_start: the power before `start`; a leaf.
        p_end: the power from `end` on; a leaf.
        start: a leaf, in steps, as `end`. They and `n_updates` must leave at least one
            step between two changes, and better ten.
        end: a leaf.
        n_updates: how often the power changes; a leaf.
        eps: of `Power`, in units of z; a leaf.
    """

    inner: Penalised
    p_start: ArrayLike = 1.0
    p_end: ArrayLike = 0.2
    start: ArrayLike = 500
    end: ArrayLike = 1_500
    n_updates: ArrayLike = 10
    eps: ArrayLike = 1e-3

    def __post_init__(self):
        Power(self.p_start, self.eps)
        Power(self.p_end, self.eps)
        require_range("n_updates", self.n_updates, low=1, fix="the power must change")
        _require_time(self.start, self.end, self.n_updates)

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        """The inner memory and the schedule's."""
        zeros = jnp.zeros((_QUEUE, 2), jnp.float32)
        return self.inner.memory(params), Annealing(jnp.float32(1), zeros, jnp.int32(0))

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def decode(self, params, z):
        return self.inner.decode(params, z)

    def power(self, step: ArrayLike) -> Float[Array, ""]:
        """p at a training step."""
        return self._power(self._changes(step))

    def loss(self, params, x, memory, step):
        inner, annealing = memory
        changes = self._changes(step)
        now = Power(self._power(changes), self.eps)
        following = Power(self._power(changes + 1), self.eps)
        is_new = changes > self._changes(step - 1)
        annealing = reweighted(annealing, is_new)
        z = lax.stop_gradient(self.inner.penalised(params, x))
        annealing = measured(annealing, jnp.stack([now(z), following(z)]))
        sparsity = self.inner.sparsity * annealing.weight
        steered: Any = self.inner
        dictionary = replace(steered, sparsity=sparsity, penalty=now)
        value, outcome = dictionary.loss(params, x, inner, step)
        metrics = outcome.metrics | {"p": now.p}
        return value, outcome._replace(metrics=metrics, memory=(outcome.memory, annealing))

    def after(self, key, state, x):
        """What `inner` does after a step."""
        inner, annealing = state.memory
        moved = self.inner.after(key, replace(state, memory=inner), x)
        return replace(moved, memory=(moved.memory, annealing))

    def _changes(self, step: ArrayLike) -> Float[Array, ""]:
        """How often the power has changed by a step, 0 to n_updates."""
        start, end = jnp.asarray(self.start), jnp.asarray(self.end)
        done = jnp.asarray((step - start) * self.n_updates, jnp.float32)
        done = done / jnp.asarray(end - start, jnp.float32)
        return jnp.clip(jnp.floor(done), 0, self.n_updates)

    def _power(self, changes: Float[Array, ""]) -> Float[Array, ""]:
        share = jnp.minimum(changes / self.n_updates, 1)
        return (1 - share) * self.p_start + share * self.p_end


def reweighted(annealing: Annealing, is_new: Array) -> Annealing:
    """The schedule's memory at a step, where `is_new` says that the power has changed.

    The weight gains the ratio of the old power's costs to the new one's, or 1 where
    nothing was measured or all costs were 0.
    """
    old, new = jnp.sum(annealing.costs, axis=0)
    ratio = jnp.where(new > 0, old / jnp.where(new > 0, new, 1), 1)
    empty = Annealing(annealing.weight * ratio, annealing.costs * 0, annealing.count * 0)
    return _where(is_new, empty, annealing)


def measured(annealing: Annealing, costs: Float[Array, "2"]) -> Annealing:
    """The memory after one more batch; the oldest of ten gives way."""
    place = annealing.count % _QUEUE
    return annealing._replace(
        costs=annealing.costs.at[place].set(costs.astype(annealing.costs.dtype)),
        count=annealing.count + 1,
    )


def _require_time(start: ArrayLike, end: ArrayLike, n_updates: ArrayLike) -> None:
    """Raises ValueError unless known steps leave one or more between two changes."""
    first, last, changes = (concrete(value) for value in (start, end, n_updates))
    if first is None or last is None or changes is None:
        return
    gap = np.min((last - first) / changes)
    if gap < 1:
        raise ValueError(
            f"end - start gives {gap:g} steps to each change of the power, expected at "
            "least 1; the schedule must lie within the run"
        )


def _where(condition: Array, if_true: PyTree, if_false: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), if_true, if_false)
