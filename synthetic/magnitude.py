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

from synthetic.validation import require_range

Level = Float[Array, "*batch feature"]


class Magnitude(Protocol):
    """Maps uniform levels in (0, 1) to the values of features that fire."""

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
        low, high = jnp.asarray(self.low), jnp.asarray(self.high)
        return low + (high - low) * level


@struct.dataclass
class RectifiedNormal:
    """max(0, mean + std * e) with e standard normal; a value of 0 counts as absent."""

    mean: ArrayLike = 1.0
    std: ArrayLike = 0.15

    def __post_init__(self):
        require_range("std", self.std, low=0.0)

    def from_level(self, level: Level) -> Level:
        return jnp.maximum(self.mean + self.std * ndtri(level), 0)


@struct.dataclass
class FoldedNormal:
    """|mean + std * e| with e standard normal."""

    mean: ArrayLike = 0.0
    std: ArrayLike = 1.0

    def __post_init__(self):
        require_range("std", self.std, low=0.0)

    def from_level(self, level: Level) -> Level:
        return jnp.abs(self.mean + self.std * ndtri(level))
