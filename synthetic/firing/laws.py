"""Which features fire, and the probabilities of firing.

`draw` returns a mask and, for every feature that fires, a fresh uniform level in (0, 1)
that a magnitude turns into a value.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from synthetic.shapes import of_fields
from synthetic.validation import require_probability, require_range

Probability = Float[Array, " feature"]
_BELOW_ONE = 1 - 2.0**-24
_FEW_FEATURES = 16


class Draw(NamedTuple):
    """Attributes:
    fires: whether each feature is active.
    level: uniform in (0, 1) where it is; meaningless elsewhere.
    """

    fires: Bool[Array, "batch feature"]
    level: Float[Array, "batch feature"]


class Firing(Protocol):
    """Decides which features are active in each sample."""

    @property
    def n_features(self) -> int: ...

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw: ...


class CountedFiring(Firing, Protocol):
    """A law whose mean number of active features is known."""

    @property
    def mean_l0(self) -> Float[Array, ""]: ...


class ConditionalFiring(Firing, Protocol):
    """A law under which features fire independently, given what a sample shares."""

    def shared(self, key: Key[Array, ""], batch_size: int) -> Float[Array, "batch s"]: ...

    def given(
        self, shared: Float[Array, "batch s"], index: Array | None = None
    ) -> Float[Array, "*batch feature"]: ...


def uniform(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform on (0, 1) with 31 random bits, so that levels stay fine at small p.

    (`jax.random.uniform` has 23 bits: at p = 5e-4 its levels would take 4,000 values.)
    """
    bits = jax.random.bits(key, shape, jnp.uint32) >> 1  # Under x64 too.
    u = (bits.astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2.0**-31)
    return jnp.minimum(u, _BELOW_ONE)


def samples_of_features(
    key: Key[Array, ""], batch_size: int, n_features: int
) -> Float[Array, "batch feature"]:
    """Uniform draws, laid out for speed.

    A few features are drawn feature by feature: loops over the batch are then contiguous.
    """
    if n_features <= _FEW_FEATURES:
        return uniform(key, (n_features, batch_size)).T
    return uniform(key, (batch_size, n_features))


def from_uniform(
    u: Float[Array, "batch feature"], probability: Float[Array, "*batch feature"]
) -> Draw:
    """Fires where u < p; given that, u / p is uniform again and becomes the level."""
    probability = jnp.asarray(probability, u.dtype)
    level = jnp.minimum(u * (1 / jnp.maximum(probability, 1e-30)), _BELOW_ONE)
    return Draw(u < probability, level)


def constant(n_features: int, probability: float) -> Probability:
    """The same probability for every feature."""
    require_probability("probability", probability)
    return jnp.full(n_features, probability, jnp.float32)


def linear(n_features: int, first: float, last: float) -> Probability:
    """Evenly spaced from `first` (feature 0) to `last`."""
    require_probability("first", first)
    require_probability("last", last)
    return jnp.linspace(first, last, n_features, dtype=jnp.float32)


def log_uniform(
    key: Key[Array, ""], n_features: int, low: float, high: float
) -> Probability:
    """Random probabilities whose logarithms are uniform between log low and log high."""
    require_probability("high", high)
    require_range("low", low, 1e-30, high, "its logarithm is taken")
    share = jax.random.uniform(key, (n_features,), jnp.float32)
    return low * (high / low) ** share


def zipf(n_features: int, exponent: float, first: float, last: float) -> Probability:
    """A power law of the rank, shifted and scaled to meet both endpoints.

    p_i = last + (first - last) (i^-a - n^-a) / (1 - n^-a) for i = 1..n, as in
    SynthSAEBench (Chanin & Garriga-Alonso, arXiv 2602.14687). With both ends fixed it is
    not a pure power law.
    """
    require_probability("first", first)
    require_probability("last", last)
    require_range("exponent", exponent, low=1e-6, fix="use `linear` for a flat law")
    require_range("n_features", n_features, low=2, fix="use `constant` for one feature")
    rank = jnp.arange(1, n_features + 1, dtype=jnp.float32)
    end = float(n_features) ** -exponent
    # Rounding alone would leave [0, 1] here, and then the probabilities would too.
    share = jnp.clip((rank**-exponent - end) / (1 - end), 0, 1)
    return first * share + last * (1 - share)


@struct.dataclass
class Independent:
    """Each feature fires on its own, with its own probability.

    One number is that probability for every feature of the world it is given to
    (`SparseFeatures`); alone it cannot be drawn from.

    Raises:
        ValueError: a probability is outside [0, 1]; or, when used, it is no array.

    Attributes:
        probability: [feature], in [0, 1]; a leaf.
    """

    probability: Probability

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.probability, "ndim", 0) >= 1:
            require_probability("probability", self.probability)

    def broadcast(self, shape: tuple[int, ...]) -> "Independent":
        """Itself; of a single number the law with that probability in this shape."""
        if np.ndim(self.probability) > 0:
            return self
        return Independent(jnp.broadcast_to(jnp.asarray(self.probability, float), shape))

    @property
    def n_features(self) -> int:
        return self._array().shape[-1]

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self._array(), axis=-1)

    def _array(self) -> Probability:
        if getattr(self.probability, "ndim", 0) < 1:
            came = "one number" if np.ndim(self.probability) == 0 else "no array"
            raise ValueError(
                f"probability is {came} ({self.probability}), expected an array [feature]; "
                "write firing.constant(n_features, probability) for one number"
            )
        return self.probability

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        u = samples_of_features(key, batch_size, self.n_features)
        return from_uniform(u, self.probability)

    def shared(self, key: Key[Array, ""], batch_size: int) -> Float[Array, "batch 0"]:
        """Nothing: the samples of this law share no source."""
        return jnp.zeros((batch_size, 0), jnp.float32)

    def given(
        self, shared: Float[Array, "batch 0"], index: Array | None = None
    ) -> Float[Array, "*batch feature"]:
        """The probabilities of some features, by default of all."""
        return self._array() if index is None else self._array()[index]


@struct.dataclass
class ExactlyK:
    """Exactly k of n features fire, every subset equally likely.

    Attributes:
        n_features: static.
        k: static; 0 <= k <= n_features.
    """

    n_features: int = struct.field(pytree_node=False)
    k: int = struct.field(pytree_node=False)

    def __post_init__(self):
        require_range("k", self.k, 0, self.n_features, "k counts the active features")

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.float32(self.k)

    def draw_index(self, key: Key[Array, ""], batch_size: int) -> Int[Array, "b k"]:
        """k distinct features a row, in O(k^2) for any n (R. Floyd's algorithm)."""
        index = jnp.full((batch_size, self.k), -1, jnp.int32)
        for slot, key_slot in enumerate(jax.random.split(key, max(self.k, 1))[: self.k]):
            last = self.n_features - self.k + slot
            pick = jax.random.randint(key_slot, (batch_size,), 0, last + 1, jnp.int32)
            taken = jnp.any(index == pick[:, None], axis=1)
            index = index.at[:, slot].set(jnp.where(taken, last, pick))
        return index

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        key_index, key_level = jax.random.split(key)
        index = self.draw_index(key_index, batch_size)
        row = jnp.arange(batch_size)[:, None]
        fires = jnp.zeros((batch_size, self.n_features), bool).at[row, index].set(True)
        return Draw(fires, uniform(key_level, fires.shape))
