"""Samplers that work on the active features alone.

A law of this kind is drawn as (index, level) pairs in a fixed number of slots, at a cost
that does not grow with the number of features. A sample that needs more slots is marked as
an overflow and its values become NaN, so that nothing is cut off in silence.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from synthetic.firing.laws import Draw, Probability, uniform
from synthetic.magnitude import Magnitude
from synthetic.shapes import of_fields
from synthetic.validation import concrete, require_probability, require_range

_MOST_EVENTS = 30.0
_PERIOD = 2.0**32
_MARGIN = 1 - 2.0**-20


class Active(NamedTuple):
    """The features that fire.

    Attributes:
        index: which feature each slot holds, 0 in a slot that is not used.
        level: uniform in (0, 1); NaN throughout a sample that overflows.
        used: whether the slot holds a feature; each feature has one at most.
        above: the slot of the feature's parent, -1 for none.
    """

    index: Int[Array, "batch slot"]
    level: Float[Array, "batch slot"]
    used: Bool[Array, "batch slot"]
    above: Int[Array, "batch slot"]


@runtime_checkable
class ActiveFiring(Protocol):
    """A law that knows how to draw its active features alone."""

    @property
    def n_features(self) -> int: ...

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw: ...

    def draw_active(self, key: Key[Array, ""], batch_size: int) -> Active: ...


@runtime_checkable
class ActiveMagnitude(Protocol):
    """A magnitude for which the features of a sample depend on each other."""

    def from_active(self, active: Active) -> Float[Array, "batch slot"]: ...


@struct.dataclass
class Events:
    """`firing.Independent`, drawn by the events of a Poisson process.

    Feature i fires where at least one event falls on it, which has probability p_i if its
    events come at rate -log(1 - p_i). The number of events in all is one Poisson draw, and
    where each falls is one lookup. (p = 1 is taken as 1 - 1e-13.)

    Attributes:
        probability: [feature], in [0, 1]; a leaf.
        slots: the most events in a sample; static. `slots_for` suggests a number.
    """

    probability: Probability
    slots: int = struct.field(pytree_node=False)

    __repr__ = of_fields

    def __post_init__(self):
        known = concrete(self.probability)
        if known is None or known.ndim != 1:
            return
        require_probability("probability", known)
        rate = float(jnp.sum(_rates(self.probability)))
        fix = f"about {rate:.3g} events fall on these features in a sample"
        require_range("slots", self.slots, _enough(rate, 5), fix=fix)

    @property
    def n_features(self) -> int:
        return self.probability.shape[-1]

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self.probability, axis=-1)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        return scatter(self.draw_active(key, batch_size), self.n_features)

    def draw_active(self, key: Key[Array, ""], batch_size: int) -> Active:
        key_count, key_place, key_level = jax.random.split(key, 3)
        rates = _rates(self.probability)
        total = jnp.sum(rates)
        # Whole numbers add up without error, so that rare features keep their rate.
        width = (rates / total * (_PERIOD * _MARGIN)).astype(jnp.uint32)
        edges = jnp.cumsum(width, dtype=jnp.uint32)
        count = _poisson(key_count, total / _MARGIN, self.slots, batch_size)[:, None]
        place = jax.random.bits(key_place, (batch_size, self.slots), jnp.uint32)
        index = jnp.searchsorted(edges, place, side="right")
        index = jnp.where(jnp.arange(self.slots) < count, index, self.n_features)
        index = jnp.sort(index, axis=1)
        first = jnp.diff(index, axis=1, prepend=-1) > 0
        used = first & (index < self.n_features)
        level = uniform(key_level, index.shape)
        return Active(
            index=jnp.where(used, index, 0),
            level=jnp.where(count > self.slots, jnp.nan, level),
            used=used,
            above=jnp.full_like(index, -1),
        )


def slots_for(probability: Probability) -> int:
    """Slots for `Events` that one sample in 10^9 overflows, about."""
    return _enough(float(_rates(jnp.asarray(probability)).sum()), 7)


def compact(
    mask: Bool[Array, "batch place"], slots: int
) -> tuple[Int[Array, "batch slot"], Bool[Array, "batch slot"], Bool[Array, " batch"]]:
    """The places where `mask` is true, in order.

    Returns:
        The place that each slot holds (0 where unused), whether it is used, and whether a
        row has more true places than slots.
    """
    # A product, for XLA would compute a sum of bits again at every lookup.
    bit = jnp.arange(16, dtype=jnp.int32)
    words_a_row = max(1, -(-mask.shape[1] // 16))
    padded = jnp.pad(mask, ((0, 0), (0, 16 * words_a_row - mask.shape[1])))
    bits = padded.reshape(len(mask), -1, 16).astype(jnp.float32)
    words = (bits @ (jnp.float32(2) ** bit)).astype(jnp.int32)
    until = jnp.cumsum(jax.lax.population_count(words), axis=1, dtype=jnp.int32)
    slot = jnp.arange(slots, dtype=jnp.int32)
    used = slot < until[:, -1:]
    word = jax.vmap(lambda row: jnp.searchsorted(row, slot, side="right"))(until)
    word = jnp.minimum(word, words.shape[1] - 1)
    held = jnp.take_along_axis(words, word, axis=1)
    before = jnp.take_along_axis(until, word, axis=1) - jax.lax.population_count(held)
    passed = jnp.cumsum((held[..., None] >> bit) & 1, axis=-1, dtype=jnp.int32)
    inside = jnp.sum(passed <= (slot - before)[..., None], axis=-1, dtype=jnp.int32)
    return jnp.where(used, word * 16 + inside, 0), used, until[:, -1] > slots


def scatter(active: Active, n_features: int) -> Draw:
    """The draw over all features; the level of those that do not fire is 1/2."""
    row = jnp.arange(len(active.index))[:, None]
    index = jnp.where(active.used, active.index, n_features)
    shape = (len(active.index), n_features)
    fires = jnp.zeros(shape, bool).at[row, index].set(True, mode="drop")
    level = jnp.full(shape, 0.5, jnp.float32).at[row, index].set(active.level, mode="drop")
    return Draw(fires, level)


def of_active(magnitude: Magnitude, active: Active) -> Float[Array, "batch slot"]:
    """The value in every slot, of use where the slot is."""
    if isinstance(magnitude, ActiveMagnitude):
        return magnitude.from_active(active)

    def pick(leaf):
        return leaf[active.index] if jnp.ndim(leaf) else leaf

    return jax.tree.map(pick, magnitude).from_level(active.level)


def _rates(probability: Probability) -> Probability:
    return jnp.minimum(-jnp.log1p(-jnp.asarray(probability, jnp.float32)), _MOST_EVENTS)


def _enough(mean: float, deviations: float) -> int:
    """A bound that a Poisson number exceeds with the tail of so many deviations."""
    return int(mean + deviations * mean**0.5 + deviations**2 / 6) + 1


def _poisson(
    key, mean: Float[Array, ""], most: int, batch_size: int
) -> Int[Array, " batch"]:
    """Poisson numbers by inversion; `most` + 1 stands for all beyond `most`."""
    k = jnp.arange(most + 65, dtype=jnp.float32)
    log_mass = k * jnp.log(jnp.maximum(mean, 1e-30)) - mean - jax.lax.lgamma(k + 1)
    # Summed from its thin end, the tail keeps its relative precision.
    beyond = jnp.cumsum(jnp.exp(log_mass)[::-1])[::-1][1 : most + 2]
    return jnp.sum(uniform(key, (batch_size, 1)) < beyond, axis=1, dtype=jnp.int32)
