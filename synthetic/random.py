"""Keys whose bulk random bits come from a counter hash: several times cheaper on a CPU.

`key(seed)` is a typed JAX key. Every function of `jax.random` takes it; `split` and
`fold_in` derive new keys with threefry, exactly as for JAX's default keys. Only the bulk
draws differ: bit block `i` is an avalanche hash of the counter `i` and both key words,
where the default generator runs twenty rounds of threefry per pair of words.

`named(key, name)` derives a key by a name, for those and for JAX's own keys alike.

Use it for simulation. It is not cryptographic. A draw is limited to 2**32 words, one
full period of the counter, and never repeats a 32-bit word: the hash permutes them.
"""

import math
import zlib

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import random as extend_random
from jaxtyping import Array, Key, UInt32

_GOLDEN_RATIO = 0x9E3779B9
_NAMED = 1 << 31


def key(seed: int) -> Key[Array, ""]:
    """A counter-hash key; `seed` is any integer that `jax.random.key` takes."""
    return jax.random.key(seed, impl=COUNTER_HASH)


def named(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key of the stream `name`, apart from every key that has a number.

    `jax.random.split(key, n)[i]` is `jax.random.fold_in(key, i)`: a key that is split off
    another may be that of a step, a block or a member. Here the folded number is the
    CRC-32 of the name with its highest bit set, 2**31 at least, and no count gets there.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()) | _NAMED)


def _avalanche(h: UInt32[Array, " n"]) -> UInt32[Array, " n"]:
    """The 32-bit finaliser "lowbias32" (C. Wellons, hash-prospector, 2018)."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x7FEB352D)
    h = (h ^ (h >> 15)) * jnp.uint32(0x846CA68B)
    return h ^ (h >> 16)


def _random_bits(key_data: UInt32[Array, "2"], bit_width: int, shape: tuple[int, ...]):
    size = math.prod(shape)
    words = max(1, bit_width // 32) * size
    if words > 2**32:
        raise ValueError(
            f"one draw of {words} words exceeds the counter's period of 2**32; "
            "split the key and draw in parts"
        )
    counter = lax.iota(jnp.uint32, words) * jnp.uint32(_GOLDEN_RATIO)
    # Keys of small seeds differ in their second word alone. It moves the start as well:
    # one avalanche leaves words whose inputs differ by a constant slightly correlated.
    start = key_data[0] + _avalanche(key_data[1])
    bits = _avalanche(_avalanche(counter + start) ^ key_data[1])
    if bit_width == 64:
        high, low = bits.reshape(2, size).astype(jnp.uint64)
        bits = (high << 32) | low
    return bits.astype(f"uint{bit_width}").reshape(shape)


def _threefry(key_data: UInt32[Array, "2"]) -> Key[Array, ""]:
    return jax.random.wrap_key_data(key_data, impl="threefry2x32")


def _seed(seed):
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def _split(key_data, shape):
    return jax.random.key_data(jax.random.split(_threefry(key_data), shape))


def _fold_in(key_data, data):
    return jax.random.key_data(jax.random.fold_in(_threefry(key_data), data))


COUNTER_HASH = extend_random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="counter_hash",
    tag="ch",
)
