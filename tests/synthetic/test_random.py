"""The counter hash against what an ideal source of random bits would give.

Seeds are fixed, so a test either always passes or always fails; its bound is where an
ideal source would fail less than once in a hundred thousand tests.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random

SURPRISE = 1e-6
# A standard normal is beyond 6 with probability 2e-9, so of 32 x 32 one with 2e-6.
Z_BOUND = 6


def words(key, n=2**18):
    return np.asarray(jax.random.bits(jax.random.clone(key), (n,), jnp.uint32))


@jax.jit
def signs(draws):
    """[word, 32]: +1 where a bit is set, -1 where not."""
    bits = (draws[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return bits.astype(jnp.float32) * 2 - 1


@jax.jit
def largest_bit_correlation(a, b):
    """max over bits i, j of |z|, z the correlation of bit i of `a` with bit j of `b`."""
    return jnp.abs(signs(a).T @ signs(b)).max() / jnp.sqrt(len(a))


def assert_uniform_counts(values, n_bins):
    """Chi-square, both tails: counts of a counter itself would be far too even."""
    counts = np.bincount(values, minlength=n_bins)
    p = stats.chisquare(counts).pvalue
    assert SURPRISE < p < 1 - SURPRISE


def first_words(keys):
    """Four words from each key: small draws are what a loop over steps uses."""
    return np.asarray(
        jax.jit(jax.vmap(lambda k: jax.random.bits(k, (4,), jnp.uint32)))(keys)
    )


@pytest.fixture(scope="module")
def many_keys():
    """2**16 keys: the steps of a loop, the seeds of a sweep, one wide split."""
    steps = jnp.arange(2**16)
    return {
        "fold_in": jax.vmap(jax.random.fold_in, (None, 0))(random.key(5), steps),
        "seed": jax.vmap(random.key)(steps),
        "split": jax.random.split(random.key(6), 2**16),
    }


@pytest.mark.parametrize("seed", [0, 12345])
def test_bits_and_bytes_are_uniform(seed):
    draws = words(random.key(seed), 2**20)
    z = signs(draws).sum(0) / 2**10
    assert jnp.abs(z).max() < Z_BOUND
    for shift in (0, 8, 16, 24):
        assert_uniform_counts((draws >> shift) & 255, 256)


@pytest.mark.parametrize("shift", [0, 13, 26])
def test_successive_words_fill_the_square_evenly(shift):
    draws = words(random.key(2), 2**20) >> shift & 63
    assert_uniform_counts(draws[::2] * 64 + draws[1::2], 4096)


def test_no_correlation_between_counters():
    n = 2**18
    draws = words(random.key(3), n + 65536)
    for lag in (1, 2, 3, 64, 4096, 65536):
        assert largest_bit_correlation(draws[:n], draws[lag : lag + n]) < Z_BOUND


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2)])
def test_no_correlation_between_seeds(a, b):
    """Their keys differ in few bits of one word; 2**20 draws show a correlation of .006."""
    draws = [words(random.key(seed), 2**20) for seed in (a, b)]
    assert largest_bit_correlation(*draws) < Z_BOUND


def test_no_correlation_between_derived_keys():
    """A parent, its two halves (which are also its steps 0 and 1), and later steps."""
    parent = random.key(4)
    halves = jax.random.split(jax.random.clone(parent))
    steps = [jax.random.fold_in(jax.random.clone(parent), t) for t in (2, 3, 2**20)]
    draws = [words(key) for key in (parent, *halves, *steps)]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert largest_bit_correlation(a, b) < Z_BOUND


@pytest.mark.parametrize("kind", ["fold_in", "seed", "split"])
def test_first_words_of_many_keys(many_keys, kind):
    draws = first_words(jax.random.clone(many_keys[kind]))
    for column in draws.T:
        for shift in (0, 8, 16, 24):
            assert_uniform_counts((column >> shift) & 255, 256)
        assert largest_bit_correlation(column[:-1], column[1:]) < Z_BOUND
    assert largest_bit_correlation(draws[:, 0], draws[:, 1]) < Z_BOUND


def test_columns_of_a_normal_draw_are_independent_standard_normals():
    n = 2**16
    draws = np.asarray(jax.random.normal(random.key(8), (n, 16)), np.float64)
    assert stats.kstest(draws.ravel(), "norm").pvalue > SURPRISE
    z = draws.T @ draws / np.sqrt(n)
    assert np.abs(z - np.diag(np.diagonal(z))).max() < Z_BOUND
    # The variance of a square is 2.
    assert np.abs((draws**2 - 1).sum(0) / np.sqrt(2 * n)).max() < Z_BOUND


def test_uniform_bernoulli_and_randint():
    n = 2**18
    k_uniform, k_bernoulli, k_randint = jax.random.split(random.key(9), 3)
    uniform = np.asarray(jax.random.uniform(k_uniform, (n,)))
    assert 0 <= uniform.min() < uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > SURPRISE
    hits = int(jax.random.bernoulli(k_bernoulli, 0.03, (n,)).sum())
    assert stats.binomtest(hits, n, 0.03).pvalue > SURPRISE
    dice = np.asarray(jax.random.randint(k_randint, (n,), 0, 6))
    assert set(dice) == set(range(6))
    assert_uniform_counts(dice, 6)


def lowbias32(x):
    """As published (C. Wellons, hash-prospector), in Python integers."""
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


def key_of(first, second):
    data = jnp.array([first % 2**32, second], jnp.uint32)
    return jax.random.wrap_key_data(data, impl=random.COUNTER_HASH)


def test_words_match_the_published_hash():
    """A changed stream would change every result."""
    first, second = 0x01234567, 0x89ABCDEF
    start = first + lowbias32(second)
    counters = [(i * 0x9E3779B9 + start) % 2**32 for i in range(8)]
    expected = [lowbias32(lowbias32(counter) ^ second) for counter in counters]
    np.testing.assert_array_equal(words(key_of(first, second), 8), expected)


def test_no_correlation_between_keys_whose_counters_coincide():
    """They share the first avalanche, shifted; the second has to part them."""
    second, other, shift = 123456, 0xDEADBEEF, 5
    first = lowbias32(second) - lowbias32(other) + shift * 0x9E3779B9
    n = 2**18
    ahead, behind = words(key_of(first, other), n), words(key_of(0, second), n + shift)
    assert largest_bit_correlation(ahead, behind[shift:]) < Z_BOUND


def test_no_word_repeats_within_a_draw():
    """The hash is a bijection of the counter; 2**20 ideal words hold 128 repeats."""
    assert len(np.unique(words(random.key(10), 2**20))) == 2**20


@pytest.mark.parametrize("seed", [0, 7, -1, 2**31])
def test_keys_derive_as_threefry_keys_do(seed):
    def derived(key):
        keys = [key, jax.random.split(key, (2, 3)), jax.random.fold_in(key, 11)]
        return [jax.random.key_data(k) for k in keys]

    with jax.debug_key_reuse(False):
        ours, jaxs = derived(random.key(seed)), derived(jax.random.key(seed))
    for a, b in zip(ours, jaxs, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_raises(
        AssertionError,
        np.testing.assert_array_equal,
        words(random.key(seed), 4),
        words(jax.random.key(seed), 4),
    )


def test_different_seeds_differ(many_keys):
    draws = first_words(jax.random.clone(many_keys["seed"]))
    assert len(np.unique(draws, axis=0)) == len(draws)


def test_vmap_and_jit_draw_the_same():
    keys = jax.random.split(random.key(12), 3)

    def draw(key):
        return jax.random.bits(key, (2, 5), jnp.uint32)

    looped = np.stack([draw(key) for key in jax.random.clone(keys)])
    np.testing.assert_array_equal(jax.vmap(draw)(jax.random.clone(keys)), looped)
    np.testing.assert_array_equal(jax.jit(jax.vmap(draw))(keys), looped)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_shapes_and_dtypes(shape, dtype):
    draw = jax.random.bits(random.key(13), shape, dtype)
    assert draw.shape == shape
    assert draw.dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_narrow_draws_are_uniform(dtype):
    draws = np.asarray(jax.random.bits(random.key(14), (2**18,), dtype))
    assert_uniform_counts(draws & 255, 256)
    assert_uniform_counts(draws >> (8 if dtype == "uint16" else 0), 256)


def test_wide_draws_have_two_independent_halves():
    with jax.enable_x64(True):
        draws = np.asarray(jax.random.bits(random.key(15), (2**9, 2**9), "uint64"))
    assert draws.shape == (2**9, 2**9)
    assert draws.dtype == np.uint64
    low = (draws & np.uint64(2**32 - 1)).astype(np.uint32).ravel()
    high = (draws >> np.uint64(32)).astype(np.uint32).ravel()
    for half in (low, high):
        assert_uniform_counts(half & 255, 256)
        assert_uniform_counts(half >> 24, 256)
    assert largest_bit_correlation(low, high) < Z_BOUND


def test_a_draw_beyond_the_period_is_refused():
    with pytest.raises(ValueError, match=r"8589934592 words exceeds .* 2\*\*32; split"):
        jax.jit(lambda k: jax.random.bits(k, (2**17, 2**16), jnp.uint32)).lower(
            random.key(16)
        )


def test_a_name_is_no_number_of_a_step(monkeypatch):
    """Steps are int32, and a name's number is beyond them; names differ from each other."""
    numbers = []
    with monkeypatch.context() as patched:
        patched.setattr(jax.random, "fold_in", lambda key, data: numbers.append(data))
        for i in range(200):
            random.named(random.key(0), f"stream {i}")
    assert all(2**31 <= number < 2**32 for number in numbers)
    assert len(set(numbers)) == 200


@pytest.mark.parametrize("make", [jax.random.key, random.key])
def test_a_named_key_is_none_of_the_parts(make):
    named = [random.named(make(7), name) for name in ("score", "evaluate", "score")]
    found = [tuple(map(int, jax.random.key_data(key))) for key in named]
    assert found[0] == found[2] != found[1]
    parts = np.asarray(jax.random.key_data(jax.random.split(make(7), 4096)))
    assert not (parts[:, None] == np.array(found)).all(-1).any()
