"""Rows in are rows out, no more than asked for, the same for the same key, well mixed."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from synthetic import random
from synthetic.base import Batch
from synthetic.stored import shuffled
from synthetic.stored.shuffled import Store
from synthetic.testing import check
from toymodels import sae


def numbered(first, count):
    """Rows that say which they are, in both parts."""
    number = jnp.arange(first, first + count, dtype=jnp.float32)[:, None]
    return Batch(number * jnp.array([1.0, -1, 2]), number)


@struct.dataclass
class Games:
    """Each sample call is one game: all its rows hold the game's number."""

    n_features: int = struct.field(pytree_node=False, default=1)
    d_model: int = struct.field(pytree_node=False, default=3)

    def sample(self, key, batch_size):
        game = jax.random.randint(key, (), 0, 1 << 20).astype(jnp.float32)
        row = jnp.arange(batch_size, dtype=jnp.float32)[:, None]
        return Batch(jnp.full((batch_size, 3), game), row)


def test_it_keeps_the_contract_of_a_world(easy_world):
    check(shuffled.fill(random.key(600), easy_world, 64, 16), random.key(601))


def test_it_holds_the_rows_of_the_world_and_no_others(easy_world):
    """Five blocks of 16 and a rest of 4, of which the world made 12 more."""
    store = shuffled.fill(random.key(602), easy_world, 84, 16)
    assert store.n_rows == 84
    key_rows = jax.random.split(random.key(602))[0]
    drawn = [easy_world.sample(key, 16) for key in jax.random.split(key_rows, 6)]
    made = np.concatenate([batch.x for batch in drawn])[:84]
    order = np.lexsort(np.asarray(store.x).T), np.lexsort(made.T)
    np.testing.assert_allclose(np.asarray(store.x)[order[0]], made[order[1]], atol=1e-6)
    # Row by row, features are those of x: a world without noise says which.
    found = store.features @ easy_world.directions
    np.testing.assert_allclose(found, store.x, atol=1e-5)


def test_the_same_key_fills_alike_and_another_does_not(easy_world):
    one, same, other = (
        shuffled.fill(random.key(seed), easy_world, 32) for seed in (603, 603, 604)
    )
    np.testing.assert_array_equal(one.x, same.x)
    assert not np.array_equal(one.x, other.x)


def test_rows_that_come_together_are_stored_apart():
    """32 games of 32 rows: neighbours are of one game as often as of any, 31 in 1023."""
    store = shuffled.fill(random.key(605), Games(), 1024, 32)
    game = np.asarray(store.x[:, 0])
    assert sorted(Counter(game.tolist()).values()) == [32] * 32
    # A binomial of 1,023 draws at 0.0303 has a deviation of 0.0054; five of them.
    assert (game[1:] == game[:-1]).mean() == pytest.approx(31 / 1023, abs=0.027)


@pytest.mark.parametrize(("n_rows", "batch_size"), [(60, 60), (60, 7), (61, 59), (5, 1)])
def test_a_batch_never_holds_a_row_twice(n_rows, batch_size):
    store = Store(*numbered(0, n_rows))
    sample = jax.jit(lambda key: store.sample(key, batch_size))
    for key in jax.random.split(random.key(606), 20):
        batch = sample(key)
        np.testing.assert_array_equal(batch.x[:, 0], batch.features[:, 0])
        assert len(set(np.asarray(batch.features[:, 0]).tolist())) == batch_size


def test_every_row_is_as_likely_as_any_other():
    """Seven of 60 rows, 3,000 times: each about 350 times."""
    store = Store(*numbered(0, 60))
    keys = jax.random.split(random.key(607), 3_000)
    found = jax.jit(jax.vmap(lambda key: store.sample(key, 7).features))(keys)
    counts = np.bincount(np.asarray(found, int).ravel(), minlength=60)
    # Binomial deviation sqrt(350 * (1 - 7/60)) = 17.6; five of them.
    assert np.abs(counts - 350).max() < 88


def test_exchanged_rows_are_given_out_once_or_still_there():
    """Ten exchanges of six rows, compiled, with the number of the exchange traced."""
    store = Store(*numbered(0, 40))

    def step(store, key_and_first):
        key, first = key_and_first
        number = (first + jnp.arange(6))[:, None]
        fresh = Batch(number * jnp.array([1.0, -1, 2]), number)
        return shuffled.exchange(key, store, fresh)

    keys = jax.random.split(random.key(608), 10)
    first = 40.0 + 6 * jnp.arange(10)
    after, out = jax.jit(lambda s: jax.lax.scan(step, s, (keys, first)))(store)
    assert after.x.shape == store.x.shape
    seen = np.concatenate([np.ravel(out.features), np.ravel(after.features)])
    np.testing.assert_array_equal(np.sort(seen), np.arange(100))
    np.testing.assert_array_equal(out.x[..., 1], -out.features[..., 0])
    np.testing.assert_array_equal(after.x[:, 2], 2 * after.features[:, 0])


def test_exchanges_mix_what_came_in_together():
    """A row leaves at each exchange with probability 1 / 10, so that of the rows of one
    exchange that have left after many, at most a few left together.
    """
    store = Store(*numbered(0, 200))

    def step(store, key_and_time):
        key, time = key_and_time
        fresh = Batch(jnp.zeros((20, 3)), jnp.full((20, 1), 1.0) * time)
        store, out = shuffled.exchange(key, store, fresh)
        return store, out.features[:, 0]

    keys = jax.random.split(random.key(609), 200)
    times = jnp.arange(1_000.0, 1_200.0)
    _, out = jax.jit(lambda s: jax.lax.scan(step, s, (keys, times)))(store)
    came, left = np.asarray(out) - 1_000, np.arange(200)[:, None]
    stayed = (left - came)[(came >= 0) & (came < 100)]
    # Geometric with mean 10, deviation 9.5, some 2,000 rows: five deviations of the mean.
    assert stayed.min() >= 1
    assert stayed.mean() == pytest.approx(10, abs=1.1)


def test_a_dictionary_is_fitted_to_a_store_as_to_a_world(easy_world):
    store = shuffled.fill(random.key(610), easy_world, 256)
    fitted = sae.fit(
        random.key(611), sae.TopK(8, k=2), store, n_steps=4, batch_size=32, chunk=4
    )
    params, history = fitted.params, fitted.history
    assert params.W_dec.shape == (8, 8)
    assert np.isfinite(history.metrics["loss"]).all()


def test_bytes_are_counted(easy_world):
    """8 entries and 8 features of four bytes."""
    assert shuffled.rows_within(easy_world, 640) == 10
    assert shuffled.rows_within(easy_world, 703) == 10
    with pytest.raises(ValueError, match="n_bytes is 63, expected a number in"):
        shuffled.rows_within(easy_world, 63)


def test_what_does_not_fit_is_refused(easy_world):
    store = Store(*numbered(0, 10))
    with pytest.raises(ValueError, match="number of rows of x is 2, expected 3"):
        Store(jnp.zeros((2, 4)), jnp.zeros((3, 1)))
    with pytest.raises(ValueError, match="number of rows is 0"):
        Store(jnp.zeros((0, 4)), jnp.zeros((0, 1)))
    with pytest.raises(ValueError, match="n_rows is 0"):
        shuffled.fill(random.key(1), easy_world, 0)
    with pytest.raises(ValueError, match="batch_size is 11, expected a number in"):
        store.sample(random.key(1), 11)
    wide = Batch(jnp.zeros((2, 4)), jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match="width of fresh x is 4, expected 3"):
        shuffled.exchange(random.key(1), store, wide)
    more = Batch(jnp.zeros((2, 3)), jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match="number of fresh features is 2, expected 1"):
        shuffled.exchange(random.key(1), store, more)
