"""What every world offers: samples together with their true features."""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


class Batch(NamedTuple):
    """Samples with their answer key.

    Attributes:
        x: what a dictionary sees.
        features: the true value of every feature, 0 where it is absent.
    """

    x: Float[Array, "*batch d_model"]
    features: Float[Array, "*batch feature"]


class Pairs(NamedTuple):
    """Sparse features as (index, value) pairs, for worlds too wide for dense rows.

    Attributes:
        index: which feature each slot holds; unused slots hold index 0 and value 0.
        value: the feature's true value.
    """

    index: Int[Array, "*batch slot"]
    value: Float[Array, "*batch slot"]


class GroundTruth(Protocol):
    """A source of data whose features are known.

    `sample` is a pure function of its key. Implementations are pytrees, so `jax.vmap`
    runs over a stack of worlds.
    """

    @property
    def n_features(self) -> int: ...

    @property
    def d_model(self) -> int: ...

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch: ...


class KnownDirections(GroundTruth, Protocol):
    """A world whose features are directions: unit rows, [feature, d_model]."""

    @property
    def directions(self) -> Array: ...


def to_dense(pairs: Pairs, n_features: int) -> Float[Array, "*batch feature"]:
    """Adds each pair's value at its index; unused slots add 0."""
    index = pairs.index.reshape(-1, pairs.index.shape[-1])
    value = pairs.value.reshape(index.shape)
    rows = jnp.zeros((index.shape[0], n_features), value.dtype)
    row = jnp.arange(index.shape[0])[:, None]
    dense = rows.at[row, index].add(value)
    return dense.reshape(*pairs.value.shape[:-1], n_features)


def to_pairs(features: Float[Array, "*batch feature"], slots: int) -> Pairs:
    """The non-zero entries of each row, in index order.

    A row with more than `slots` of them gets NaN values, so that an overflow is seen
    instead of silently cut off.
    """
    active = features != 0
    rank = jnp.cumsum(active, axis=-1) - 1
    target = jnp.where(active, rank, slots)
    index = jnp.arange(features.shape[-1])
    hit = target[..., None, :] == jnp.arange(slots)[:, None]
    overflow = (active.sum(-1) > slots)[..., None]
    value = jnp.where(hit, features[..., None, :], 0).sum(-1)
    return Pairs(
        index=jnp.where(hit, index, 0).sum(-1, dtype=jnp.int32),
        value=jnp.where(overflow, jnp.nan, value),
    )
