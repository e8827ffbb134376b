"""The same world under another distribution: other frequencies, combinations held out.

Directions, magnitudes and noise stay, so what a dictionary learned in one world is scored
in the other without change.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Int, Key

from synthetic.firing import Draw, Firing, Probability, uniform
from synthetic.hierarchy.topdown import TopDown
from synthetic.shapes import of_fields
from synthetic.sparse import SparseFeatures
from synthetic.validation import concrete, require_range, require_width


def with_probability(world: SparseFeatures, probability: Probability) -> SparseFeatures:
    """The world with other probabilities [feature], for any law that has them.

    In a hierarchy they are those of the law below the forest (`compensation`).
    """
    return dataclasses.replace(world, firing=_with(world.firing, probability))


def permuted(key: Key[Array, ""], world: SparseFeatures) -> SparseFeatures:
    """The world with its probabilities dealt anew: rare features become frequent."""
    return with_probability(world, jax.random.permutation(key, _of(world.firing)))


def _of(law: Any) -> Probability:
    return law.probability if hasattr(law, "probability") else _of(_below(law))


def _with(law: Any, probability: Probability) -> Any:
    if isinstance(law, TopDown):
        return TopDown.of(_with(law.law, probability), law.forest)
    if hasattr(law, "probability"):
        fix = "give one probability per feature"
        received, expected = jnp.shape(probability)[-1], law.probability.shape[-1]
        require_width("the number of probabilities", received, expected, fix)
        return dataclasses.replace(law, probability=probability)
    return dataclasses.replace(law, law=_with(_below(law), probability))


def _below(law: Any) -> Any:
    if not hasattr(law, "law"):
        raise ValueError(
            f"the firing of the world is {type(law).__name__}, expected a law with "
            "probabilities or one around such a law; give the world another law"
        )
    return law.law


@struct.dataclass
class Apart:
    """A law under which some pairs of features never fire together.

    Where the law below fires both of a pair, one of them, at random, stays silent.

    Attributes:
        law: who would fire.
        pairs: [pair, 2], the combinations held out.
    """

    law: Firing
    pairs: Array

    __repr__ = of_fields

    def __post_init__(self):
        _require_pairs(self.pairs, self.law.n_features)

    @property
    def n_features(self) -> int:
        return self.law.n_features

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        key_law, key_pick = jax.random.split(key)
        fires, level = self.law.draw(key_law, batch_size)
        both = fires[:, self.pairs].all(-1)
        first = uniform(key_pick, both.shape) < 0.5
        loses = jnp.stack([both & first, both & ~first], axis=-1)
        silent = jnp.zeros(fires.shape, bool).at[:, self.pairs].max(loses)
        return Draw(fires & ~silent, level)


@struct.dataclass
class Together:
    """A law under which every sample has one of some pairs of features, both firing.

    The pair is drawn at random and forced; the rest is as the law below draws it, but for
    the other pairs, which stay apart as in `Apart`. The test for `Apart`.

    Attributes:
        law: who would fire otherwise.
        pairs: [pair, 2], the combinations to be seen.
    """

    law: Firing
    pairs: Array

    __repr__ = of_fields

    def __post_init__(self):
        _require_pairs(self.pairs, self.law.n_features)

    @property
    def n_features(self) -> int:
        return self.law.n_features

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        key_law, key_pair, key_level = jax.random.split(key, 3)
        fires, level = Apart(self.law, self.pairs).draw(key_law, batch_size)
        chosen = jax.random.randint(
            key_pair, (batch_size,), 0, self.pairs.shape[-2], jnp.int32
        )
        pair = self.pairs[chosen]
        row = jnp.arange(batch_size)[:, None]
        fresh = uniform(key_level, pair.shape)
        fresh = jnp.where(fires[row, pair], level[row, pair], fresh)
        return Draw(fires.at[row, pair].set(True), level.at[row, pair].set(fresh))


def random_pairs(
    key: Key[Array, ""], n_features: int, n_pairs: int
) -> Int[np.ndarray, "pair 2"]:
    """Pairs of different features; no feature is in two of them."""
    require_range("n_pairs", n_pairs, 1, n_features // 2, "a feature is in one pair only")
    order = np.asarray(jax.random.permutation(key, n_features))
    return order[: 2 * n_pairs].reshape(n_pairs, 2)


def _require_pairs(pairs: Array, n_features: int) -> None:
    if getattr(pairs, "ndim", 0) < 2:
        return
    require_width("the last axis of pairs", pairs.shape[-1], 2, "a pair has two features")
    require_range("a feature of pairs", pairs, 0, n_features - 1, "it is an index")
    known = concrete(pairs)
    if known is not None:
        twins = known[known[..., 0] == known[..., 1]]
        if len(twins):
            raise ValueError(
                f"a pair holds feature {twins[0, 0]} twice, expected two different ones; "
                "use shift.random_pairs"
            )
