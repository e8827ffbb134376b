"""Sets of features that fire together, or never together.

Feature i belongs to set i // set_size. Between sets everything is independent.

Two conventions of density are in use. "Toy Models of Superposition" (Elhage et al. 2022,
arXiv 2209.10652) counts sets: an anticorrelated set is off with probability S, else exactly
one random member fires. Common re-implementations count features: each member fires with
probability p. For an anticorrelated set the two differ by the size of the set, so both have
a constructor here, `per_set` and `per_feature`. In a correlated set they are the same
number.

`SparseFeatures.do` intervenes on these laws, it does not condition on them: one feature is
forced and the rest stays as it was drawn. Forcing a member of a correlated set leaves its
partners on or off as they were; forcing a member of an anticorrelated set on leaves
another one on too where one was.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Bool, Float, Key

from synthetic.firing.laws import CountedFiring, Draw, samples_of_features
from synthetic.shapes import of_fields
from synthetic.validation import require_probability, require_range

SetProbability = Float[Array, " set"]
_BELOW_ONE = 1 - 2.0**-24
_ABOVE_ZERO = 2.0**-32


@struct.dataclass
class CorrelatedSets:
    """All members of a set fire, with independent levels, or none does.

    Attributes:
        probability: [set], that the set is on, which is also each member's probability; a
            leaf.
        set_size: static.
    """

    probability: SetProbability
    set_size: int = struct.field(pytree_node=False)

    __repr__ = of_fields

    def __post_init__(self):
        _require_sets(self.probability, self.set_size)

    @property
    def n_features(self) -> int:
        return self.probability.shape[-1] * self.set_size

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return self.set_size * jnp.sum(self.probability, axis=-1)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        """The first member's draw decides for its set and is its level too.

        Given u < p, u / p is uniform again, so no more is drawn than for independent
        features.
        """
        u = samples_of_features(key, batch_size, self.n_features)
        u = u.T.reshape(-1, self.set_size, batch_size)
        first, others = u[:, :1], u[:, 1:]
        p = jnp.asarray(self.probability, u.dtype)[:, None, None]
        level = jnp.minimum(first * (1 / jnp.maximum(p, 1e-30)), _BELOW_ONE)
        fires = jnp.broadcast_to(first < p, u.shape)
        return _by_sample(fires, jnp.concatenate([level, others], axis=1))


@struct.dataclass
class AnticorrelatedSets:
    """At most one member of a set fires, every member equally often.

    The constructor takes what `per_set` takes.

    Attributes:
        probability: [set], that the set is on: 1 - S in the paper; a leaf.
        set_size: static.
    """

    probability: SetProbability
    set_size: int = struct.field(pytree_node=False)

    __repr__ = of_fields

    def __post_init__(self):
        _require_sets(self.probability, self.set_size)

    @classmethod
    def per_set(cls, probability: SetProbability, set_size: int) -> "AnticorrelatedSets":
        """From the probability [set] that exactly one member fires (the paper's)."""
        return cls(probability, set_size)

    @classmethod
    def per_feature(
        cls, probability: SetProbability, set_size: int
    ) -> "AnticorrelatedSets":
        """From the probability [set] of each member, at most 1 / set_size.

        Raises:
            ValueError: the members of a set together would fire more often than always.
        """
        _require_size(set_size)
        require_range(
            "probability",
            probability,
            0,
            1 / set_size,
            f"{set_size} features that never fire together share a probability of 1",
        )
        return cls(probability * set_size, set_size)

    @property
    def n_features(self) -> int:
        return self.probability.shape[-1] * self.set_size

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self.probability, axis=-1)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        """One draw a set: given u < p, the whole part of u / p * set_size is the member
        and the rest is its level.
        """
        n_sets = self.probability.shape[-1]
        u = samples_of_features(key, batch_size, n_sets).T[:, None]
        p = jnp.asarray(self.probability, u.dtype)[:, None, None]
        place = u * (self.set_size / jnp.maximum(p, 1e-30))
        chosen = jnp.minimum(jnp.floor(place), self.set_size - 1)
        member = jnp.arange(self.set_size, dtype=u.dtype)[:, None]
        fires = (u < p) & (chosen == member)
        level = jnp.clip(place - chosen, _ABOVE_ZERO, _BELOW_ONE)
        return _by_sample(fires, jnp.broadcast_to(level, fires.shape))


@struct.dataclass
class Joined:
    """Several laws side by side, independent of each other: sets of different sizes,
    correlated next to anticorrelated ones, features in no set.

    Attributes:
        laws: in the order of their features.
    """

    laws: tuple[CountedFiring, ...]

    __repr__ = of_fields

    def __post_init__(self):
        require_range("the number of laws", len(self.laws), low=1, fix="give at least one")

    @property
    def n_features(self) -> int:
        return sum(law.n_features for law in self.laws)

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(jnp.stack([law.mean_l0 for law in self.laws]), axis=0)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        keys = jax.random.split(key, len(self.laws))
        draws = [law.draw(k, batch_size) for law, k in zip(self.laws, keys, strict=True)]
        fires, level = zip(*draws, strict=True)
        return Draw(jnp.concatenate(fires, axis=1), jnp.concatenate(level, axis=1))


def _require_sets(probability: ArrayLike, set_size: int) -> None:
    _require_size(set_size)
    if getattr(probability, "ndim", 0) >= 1:
        require_probability("probability", probability)


def _require_size(set_size: int) -> None:
    require_range("set_size", set_size, low=1, fix="it counts the members of a set")


def _by_sample(
    fires: Bool[Array, "set member batch"], level: Float[Array, "set member batch"]
) -> Draw:
    batch_size = level.shape[-1]
    return Draw(fires.reshape(-1, batch_size).T, level.reshape(-1, batch_size).T)
