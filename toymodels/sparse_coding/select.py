"""The k-th largest value of each row or of a whole batch, exactly, without sorting."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

_CACHED = 16_384  # entries of a block that stay in a core's nearest cache
_SHIFT = 4_096  # two counts below it share a float32, exact up to 2**24


def kth_largest(z: Float[Array, "batch latent"], k: ArrayLike) -> Float[Array, " batch"]:
    """A threshold t per row with `sum(z >= t) == k`, for non-negative `z` and a whole k.

    Narrows the value range by thirds and leaves as soon as the count is exact, in blocks
    of rows small enough for the cache: on a CPU tens of times faster than `lax.top_k`. `k`
    may be traced, so it can be swept by `vmap`.

    Where several entries tie at the k-th place the row keeps all of them; where fewer
    than k entries are positive t is 0.
    """
    batch, n_latents = z.shape
    block = _rows_per_block(batch, n_latents)
    blocks = z.reshape(-1, block, n_latents)
    return lax.map(lambda rows: _search(rows, k), blocks).reshape(batch)


def keep_k(z: Float[Array, "*batch latent"], k: ArrayLike) -> Float[Array, "*batch latent"]:
    """`z` with all but the k largest entries of each row set to 0; `z` >= 0.

    Entries that tie with the k-th are kept too. The gradient passes through the entries
    that are kept.
    """
    return jnp.where(_among_k(z, k), z, 0)


def keep_k_positive(
    z: Float[Array, "*batch latent"], k: ArrayLike
) -> Float[Array, "*batch latent"]:
    """The k largest positive entries of each row, all else set to 0."""
    return keep_k(jax.nn.relu(z), k)


def keep_k_signed(
    z: Float[Array, "*batch latent"], k: ArrayLike
) -> Float[Array, "*batch latent"]:
    """`z` with all but the k entries of each row that are largest in magnitude set to 0.

    Entries of the same magnitude as the k-th are kept too.
    """
    return jnp.where(_among_k(jnp.abs(z), k), z, 0)


def _among_k(
    z: Float[Array, "*batch latent"], k: ArrayLike
) -> Bool[Array, "*batch latent"]:
    rows = lax.stop_gradient(z).reshape(-1, z.shape[-1])
    return z >= kth_largest(rows, k).reshape(*z.shape[:-1], 1)


def batch_kth_largest(z: Float[Array, "batch latent"], k: ArrayLike) -> Float[Array, ""]:
    """A threshold t with `sum(z >= t) == round(k * batch)` over all of `z`, which is >= 0.

    `k` counts entries per row on average, so it may be a fraction, and traced. Ties at the
    last place are all kept; where fewer entries are positive t is 0. Each step of the
    search reads all of `z`, of which there may be 2**31 entries.
    """
    wanted = jnp.round(jnp.asarray(k) * z.shape[0]).astype(jnp.int32)
    return _search(z[None], wanted)[0]


def keep_batch_k(
    z: Float[Array, "*batch latent"], k: ArrayLike
) -> Float[Array, "*batch latent"]:
    """`z` with all but the k * batch largest entries of the whole batch set to 0.

    `z` >= 0; every leading axis counts as batch. The gradient passes through the entries
    that are kept.
    """
    rows = lax.stop_gradient(z).reshape(-1, z.shape[-1])
    return jnp.where(z >= batch_kth_largest(rows, k), z, 0)


def annealed(
    step: Int[Array, ""], k: ArrayLike, k_start: ArrayLike, anneal_steps: ArrayLike
) -> Float[Array, ""]:
    """k_start at step 0, falling linearly to k over `anneal_steps`; k if k_start <= k."""
    left = jnp.clip(1 - jnp.asarray(step, jnp.float32) / anneal_steps, 0, 1)
    return jnp.asarray(k) + jnp.maximum(jnp.asarray(k_start) - k, 0) * left


def _rows_per_block(batch: int, n_latents: int) -> int:
    """All rows on an accelerator; on a CPU a power of two that divides them, at least 8."""
    if jax.default_backend() != "cpu":
        return batch
    block = 8
    while 2 * block * n_latents <= _CACHED and batch % (2 * block) == 0:
        block *= 2
    return block if batch % block == 0 else batch


def _search(z: Float[Array, " group *entry"], k: ArrayLike) -> Float[Array, " group"]:
    """The threshold of each group, by thirds of the range of its values."""
    axes = tuple(range(1, z.ndim))

    def unfinished(carry) -> Bool[Array, ""]:
        return jnp.any(~carry[2])

    def narrow(carry):
        low, high, done = carry
        width = high - low
        middle = low + width * 0.5
        third, two_thirds = low + width / 3, high - width / 3
        # Rounding may put a third on an end where only the middle is left between them.
        lower = jnp.where((third > low) & (third < high), third, middle)
        upper = jnp.where((two_thirds > lower) & (two_thirds < high), two_thirds, lower)
        above_lower, above_upper = _count_two(z, lower, upper)
        is_between = (middle > low) & (middle < high)  # False for NaN: the loop ends
        frozen = done | ~is_between
        low_next = jnp.where(
            above_upper >= k, upper, jnp.where(above_lower >= k, lower, low)
        )
        high_next = jnp.where(
            above_lower < k, lower, jnp.where(above_upper < k, upper, high)
        )
        exact = (above_lower == k) | (above_upper == k)
        return (
            jnp.where(frozen, low, low_next),
            jnp.where(frozen, high, high_next),
            frozen | exact,
        )

    low = jnp.zeros(z.shape[0], z.dtype)
    high = jnp.nextafter(jnp.max(z, axis=axes), jnp.asarray(jnp.inf, z.dtype))
    done = jnp.sum(z > 0, axis=axes, dtype=jnp.int32) <= k  # t = 0 keeps them all
    return lax.while_loop(unfinished, narrow, (low, high, done))[0]


def _count_two(
    z: Float[Array, " group *entry"], lower: Array, upper: Array
) -> tuple[Int[Array, " group"], Int[Array, " group"]]:
    """How many entries of each group reach `lower`, and how many `upper` >= `lower`.

    Both in one pass over `z`: a float32, which adds twice as fast as an int32, holds two
    counts of up to 4,095.
    """
    parts = _parts(z.shape[-1])
    z = z.reshape(*z.shape[:-1], parts, -1)
    lower, upper = (t.reshape(-1, *[1] * (z.ndim - 1)) for t in (lower, upper))
    one, two = jnp.float32(1), jnp.float32(1 + _SHIFT)
    both = jnp.where(z >= upper, two, jnp.where(z >= lower, one, 0))
    sums = jnp.sum(both, axis=-1)
    over_upper = jnp.floor(sums / _SHIFT)
    over_lower = sums - _SHIFT * over_upper
    axes = tuple(range(1, sums.ndim))

    def total(counts: Array) -> Int[Array, " group"]:
        return jnp.sum(counts.astype(jnp.int32), axis=axes, dtype=jnp.int32)

    return total(over_lower), total(over_upper)


def _parts(width: int) -> int:
    """The fewest equal parts of a row that have less than _SHIFT entries."""
    parts = -(-width // (_SHIFT - 1))
    while width % parts:
        parts += 1
    return parts
