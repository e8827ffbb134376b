"""From features to vectors: sums of directions, noise, and one feature forced."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.base import Batch, Pairs
from synthetic.validation import require_range

X = Float[Array, "batch d_model"]


def weighted_sum(pairs: Pairs, directions: Float[Array, "feature d_model"]) -> X:
    """sum_i value_i d_index_i for each sample, slot by slot up to the last one used."""
    slot = jnp.arange(1, pairs.value.shape[1] + 1)
    last = jnp.max(jnp.where(pairs.value != 0, slot, 0))

    def add(slot, x):
        return x + pairs.value[:, slot, None] * directions[pairs.index[:, slot]]

    start = jnp.zeros(
        (len(pairs.value), directions.shape[-1]), jnp.result_type(pairs.value, directions)
    )
    return jax.lax.fori_loop(0, last, add, start)


def add_noise(key: Key[Array, ""], x: X, noise: ArrayLike | None) -> X:
    """x with normal noise added.

    Args:
        key: decides the noise.
        x: the samples.
        noise: a standard deviation, for isotropic noise; a matrix A [source, d_model], for
            structured noise of covariance A^T A; None for none.
    """
    if noise is None:
        return x
    if jnp.ndim(noise) == 2:
        source = jax.random.normal(key, (len(x), jnp.shape(noise)[0]), x.dtype)
        return x + source @ jnp.asarray(noise, x.dtype)
    return x + jnp.asarray(noise, x.dtype) * jax.random.normal(key, x.shape, x.dtype)


def require_noise(noise: ArrayLike | None) -> None:
    """Raises ValueError for a negative deviation; a matrix may have any sign."""
    if noise is not None and jnp.ndim(noise) < 2:
        require_range("noise", noise, low=0.0, fix="it is a deviation")


def force(
    batch: Batch,
    directions: Array,
    feature: int | Array,
    value: ArrayLike,
) -> Batch:
    """`batch` with one feature set to `value` and x moved along its direction by the
    change; everything else as it was.

    Args:
        batch: the samples.
        directions: [feature, *place]; *place is the shape of one sample of x.
        feature: an index, which may be traced.
        value: a number, or one for each sample.
    """
    require_range("feature", feature, 0, len(directions) - 1, "it is an index")
    features = batch.features.at[..., feature].set(jnp.asarray(value, batch.features.dtype))
    change = features[..., feature] - batch.features[..., feature]
    row = directions[feature]
    change = change.reshape(*change.shape, *(1,) * row.ndim)
    return Batch(batch.x + change * row, features)
