"""Choices by lot from 32 random bits each."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt32


def random_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """32 random bits a word, in every precision mode."""
    return jax.random.bits(key, shape, jnp.uint32)


def below(
    draw: UInt32[Array, "*shape"], count: Int[Array, "*shape"]
) -> Int[Array, "*shape"]:
    """A number from 0 to count - 1 from 32 random bits; 0 for a count of 0.

    Uniform but for a relative error of count / 2**22; counts are at most 2**10.
    """
    return ((draw >> 10) * count.astype(jnp.uint32) >> 22).astype(jnp.int32)


def pick(
    draw: UInt32[Array, " batch"], allowed: Bool[Array, "option batch"]
) -> Bool[Array, "option batch"]:
    """One of the allowed options, all equally likely; none where none is allowed."""
    rank = jnp.cumsum(allowed.astype(jnp.int32), axis=0)
    return allowed & (rank == below(draw, rank[-1]) + 1)
