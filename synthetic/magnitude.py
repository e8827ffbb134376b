"""How strong a feature is when it fires.

A magnitude turns a uniform level in (0, 1) into a value, so one draw decides both whether
a feature fires and how strongly: given u < p, the level u / p is uniform again. The
parameters are leaves and broadcast against [feature].
"""

from typing import Protocol

import jax.numpy as jnp
from flax import struct
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_probability, require_range, require_width

Level = Float[Array, "*batch feature"]
_PAIRS = "circles are pairs of features"


def linear(n_features: int, first: float, last: float) -> Float[Array, " feature"]:
    """Means by rank, evenly spaced from `first` (feature 0) to `last`."""
    return jnp.linspace(first, last, n_features, dtype=jnp.float32)


def exponential(n_features: int, first: float, last: float) -> Float[Array, " feature"]:
    """Means by rank, each the same multiple of the one before, `first` to `last`."""
    require_range("first", first, low=1e-30, fix="a positive number shrinks or grows")
    require_range("last", last, low=1e-30, fix="a positive number shrinks or grows")
    return first * (last / first) ** jnp.linspace(0, 1, n_features, dtype=jnp.float32)


class Magnitude(Protocol):
    """Maps uniform levels in (0, 1) to the values of features that fire, of their dtype."""

    def from_level(self, level: Level) -> Level: ...


@struct.dataclass
class Constant:
    """Every active feature has the same value."""

    value: ArrayLike = 1.0

    def from_level(self, level: Level) -> Level:
        return jnp.broadcast_to(jnp.asarray(self.value, level.dtype), level.shape)


@struct.dataclass
class Uniform:
    """Uniform on [low, high]."""

    low: ArrayLike = 0.0
    high: ArrayLike = 1.0

    def from_level(self, level: Level) -> Level:
        low, high = _like(level, self.low, self.high)
        return low + (high - low) * level


@struct.dataclass
class RectifiedNormal:
    """max(0, mean + std * e) with e standard normal; a value of 0 counts as absent."""

    mean: ArrayLike = 1.0
    std: ArrayLike = 0.15

    def __post_init__(self):
        require_range("std", self.std, low=0.0)

    def from_level(self, level: Level) -> Level:
        mean, std = _like(level, self.mean, self.std)
        return jnp.maximum(mean + std * ndtri(level), 0)


@struct.dataclass
class FoldedNormal:
    """|mean + std * e| with e standard normal."""

    mean: ArrayLike = 0.0
    std: ArrayLike = 1.0

    def __post_init__(self):
        require_range("std", self.std, low=0.0)

    def from_level(self, level: Level) -> Level:
        mean, std = _like(level, self.mean, self.std)
        return jnp.abs(mean + std * ndtri(level))


@struct.dataclass
class LogNormal:
    """median * exp(spread * e) with e standard normal: a heavy tail."""

    median: ArrayLike = 1.0
    spread: ArrayLike = 1.0

    def __post_init__(self):
        require_range("spread", self.spread, low=0.0, fix="it is a deviation")

    def from_level(self, level: Level) -> Level:
        median, spread = _like(level, self.median, self.spread)
        return median * jnp.exp(spread * ndtri(level))


@struct.dataclass
class Pareto:
    """least * level^(-1 / exponent): P(value > v) = (v / least)^-exponent.

    The mean is finite for an exponent above 1, the variance for one above 2.
    """

    least: ArrayLike = 1.0
    exponent: ArrayLike = 2.5

    def __post_init__(self):
        require_range("exponent", self.exponent, low=1e-6, fix="the tail falls with it")

    def from_level(self, level: Level) -> Level:
        least, exponent = _like(level, self.least, self.exponent)
        return least * level ** (-1 / exponent)


@struct.dataclass
class Signed:
    """A magnitude with a random sign.

    Attributes:
        law: the magnitude.
        positive: the probability of a plus.
    """

    law: Magnitude
    positive: ArrayLike = 0.5

    def __post_init__(self):
        require_probability("positive", self.positive)

    def from_level(self, level: Level) -> Level:
        """The level decides the sign, and what is left of it is uniform again."""
        (p,) = _like(level, self.positive)
        plus = level < p
        left = jnp.where(plus, level / jnp.maximum(p, 1e-30), (1 - level) / (1 - p))
        value = self.law.from_level(jnp.clip(left, 2.0**-31, 1 - 2.0**-24))
        return jnp.where(plus, value, -value)


@struct.dataclass
class Circle:
    """Features 2i and 2i + 1 are r cos(a) and r sin(a), of a uniform random angle a.

    A feature of two dimensions. For `sets.CorrelatedSets` of size 2, whose members fire
    together, and `geometry.planes`.

    Attributes:
        radius: the magnitude of r, one for each pair.
    """

    radius: Magnitude = Constant()

    def from_level(self, level: Level) -> Level:
        require_width("the last axis of level modulo 2", level.shape[-1] % 2, 0, _PAIRS)
        angle = 2 * jnp.pi * level[..., 0::2]
        r = self.radius.from_level(level[..., 1::2])
        both = jnp.stack([r * jnp.cos(angle), r * jnp.sin(angle)], axis=-1)
        return both.reshape(level.shape)


def _like(level: Level, *numbers: ArrayLike) -> tuple[Array, ...]:
    """The numbers in the dtype of the levels: they are settings and widen no data."""
    return tuple(jnp.asarray(number, level.dtype) for number in numbers)
