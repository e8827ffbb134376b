"""Keyed streams: who gets which batch, restarts, and arrays for other frameworks."""

import itertools

import jax
import numpy as np
import pytest
from flax import struct

import synthetic
from synthetic import SparseFeatures, firing, streams

WORLD = SparseFeatures.of_features(firing.Independent(firing.constant(6, 0.5)))


def take(n, **options):
    return list(itertools.islice(synthetic.batches(WORLD, 4, **options), n))


def test_a_batch_depends_on_seed_stream_and_step_alone():
    first = take(3, seed=5)
    for step, x in enumerate(first):
        key = streams.batch_key(5, "train", step)
        np.testing.assert_allclose(x, WORLD.sample(key, 4).x, rtol=1e-6)
    late = take(1, seed=5, start=2)[0]
    np.testing.assert_array_equal(late, first[2])
    everything = first + take(3, seed=6) + take(3, seed=5, stream="test")
    everything += take(3, seed=5, stream="calibrate")
    assert len({x.tobytes() for x in everything}) == 12


def test_batches_are_writable_numpy_arrays_up_to_the_stop():
    whole = take(None, stop=3)
    assert len(whole) == 3
    assert all(type(x) is np.ndarray and x.flags.writeable for x in whole)
    assert whole[0].shape == (4, 6)
    assert whole[0].dtype == np.float32
    assert take(None, start=3, stop=3) == []


def test_batches_carry_their_answers_where_asked():
    (batch,) = take(None, stop=1, features=True)
    np.testing.assert_array_equal(batch.x, batch.features)
    np.testing.assert_array_equal(batch.x, take(1)[0])


def test_one_program_draws_all_batches():
    traced = []

    @struct.dataclass
    class Counting(SparseFeatures):
        def sample(self, key, batch_size):
            traced.append(batch_size)
            return super().sample(key, batch_size)

    world = Counting.of_features(WORLD.firing)
    for options in ({}, {"seed": 9, "stream": "test", "start": 7}):
        drawn = list(synthetic.batches(world, 4, stop=9, **options))
        assert len(drawn) == 9 - options.get("start", 0)
    assert traced == [4]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: streams.stream_key(0, "validate"),
            r"stream is 'validate', expected one of train, calibrate, test; train on one",
        ),
        (lambda: streams.batch_key(0, "test", -1), r"step is -1, expected .* counts batch"),
        (lambda: synthetic.batches(WORLD, 0), r"batch_size is 0, .*an empty batch"),
        (lambda: synthetic.batches(WORLD, 1, start=-2), r"start is -2, expected"),
        (
            lambda: synthetic.batches(WORLD, 1, start=2, stop=1),
            r"stop is 1, expected .*\[2,",
        ),
    ],
)
def test_errors_come_at_the_call(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_keys_of_a_stream_are_those_of_the_training_loop():
    key = streams.stream_key(3, "train")
    expected = jax.random.key_data(jax.random.fold_in(key, 11))
    got = jax.random.key_data(streams.batch_key(3, "train", 11))
    np.testing.assert_array_equal(got, expected)
