"""Latents in the order of how often they fire: all that belongs to them moves along."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import SparseFeatures, directions, firing, random
from toymodels import testing
from toymodels.sae import training
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.frequency import FrequencySort, by_frequency, descending
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.threshold import Memory
from toymodels.training import loop


def test_conformance():
    dictionary = Matryoshka(12, (4, 12), k=2.5, sort=FrequencySort())
    testing.check(dictionary, random.key(0))


@pytest.fixture(scope="module")
def moved():
    """A state with moments and made-up frequencies, before and after."""
    params = BatchTopK(12).init(random.key(1), 6)
    frequency = jnp.asarray(np.random.default_rng(0).permutation(12) / 12.0, jnp.float32)
    memory = Memory(jnp.arange(12), jnp.float32(0.5), frequency)
    state = loop.start(params, optax.adam(1e-3), memory)
    moments = jax.tree.map(lambda w: w + 1, params)
    state = state.replace(opt=(state.opt[0]._replace(mu=moments), *state.opt[1:]))
    return state, by_frequency(state, "quiet", "frequency")


def test_weights_moments_and_counters_move_together(moved):
    old, new = moved
    order = np.argsort(-np.asarray(old.memory.frequency))
    for a, b in ((new.params, old.params), (new.opt[0].mu, old.opt[0].mu)):
        np.testing.assert_array_equal(a.W_enc, b.W_enc[:, order])
        np.testing.assert_array_equal(a.b_enc, b.b_enc[order])
        np.testing.assert_array_equal(a.W_dec, b.W_dec[order])
        np.testing.assert_array_equal(a.b_dec, b.b_dec)
    np.testing.assert_array_equal(new.memory.quiet, order)
    assert (np.diff(new.memory.frequency) < 0).all()
    assert new.memory.threshold == old.memory.threshold


def test_the_function_stays_the_same(moved):
    dictionary = BatchTopK(12, k=2)
    x = jax.random.normal(random.key(2), (24, 6))

    def x_hat(params):
        return dictionary.decode(params, dictionary.encode_batch(params, x))

    # The same sums in another order.
    np.testing.assert_allclose(x_hat(moved[1].params), x_hat(moved[0].params), atol=1e-5)


def test_equals_keep_their_places():
    np.testing.assert_array_equal(descending(jnp.array([0.0, 1, 0, 1])), [1, 3, 0, 2])


def test_running_frequency_counts_its_first_batches_alike():
    sort, frequency = FrequencySort(rate=0.25), jnp.zeros(2)
    shares = []
    for step, on in enumerate([4, 0, 2, 2, 4]):
        z = jnp.stack([jnp.arange(4) < on, jnp.ones(4)], axis=-1) * 3.0
        frequency = sort.tracked(frequency, z, jnp.int32(step))
        shares.append(frequency)
    # Means of 1, 0, 0.5 and 0.5 so far, and then three quarters of the old.
    np.testing.assert_allclose(np.array(shares)[:, 0], [1, 0.5, 0.5, 0.5, 0.625])
    np.testing.assert_allclose(np.array(shares)[:, 1], 1)


def test_rounds_are_on_schedule():
    sort = FrequencySort(every=10, start=25)
    due = [step for step in range(60) if bool(sort.is_due(jnp.int32(step)))]
    assert due == [30, 40, 50]


@pytest.fixture(scope="module")
def runs():
    """One prefix, with and without sorting: the same function, step by step."""
    rows = directions.orthogonal(random.key(3), 8, 8)
    law = firing.Independent(jnp.linspace(0.02, 0.4, 8))
    world = SparseFeatures(rows, law)
    optimizer = training.adam(3e-3, 200)
    plain = Matryoshka(8, (8,), k=1.5)
    sorting = replace(plain, sort=FrequencySort(every=10, start=10, rate=0.05))

    def end(dictionary):
        start = training.start(random.key(4), dictionary, 8, optimizer)
        return jax.jit(
            lambda state: training.advance(
                random.key(5),
                dictionary,
                state,
                200,
                world=world,
                optimizer=optimizer,
                batch_size=128,
            )[0]
        )(start)

    return end(plain), end(sorting)


def test_training_goes_on_as_if_nothing_had_moved(runs):
    """Sorted 20 times in 200 steps of Adam; moments left behind would show at once."""
    plain, sorting = runs
    cosine = np.asarray(plain.params.W_dec) @ np.asarray(sorting.params.W_dec).T
    partner = cosine.argmax(1)
    assert sorted(partner) == list(range(8))
    # Sums in another order, over 200 steps of size 3e-3 each.
    np.testing.assert_allclose(cosine.max(1), 1, atol=1e-4)
    assert float(sorting.params.threshold) == pytest.approx(
        float(plain.params.threshold), abs=1e-3
    )
    np.testing.assert_array_equal(sorting.memory.quiet[partner], plain.memory.quiet)


def test_frequent_latents_come_first(runs):
    _, sorting = runs
    frequency = np.asarray(sorting.memory.frequency)
    assert (np.diff(frequency) <= 0).all()
    assert frequency.sum() == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrequencySort(every=0), "every is 0"),
        (lambda: FrequencySort(rate=2.0), r"rate is 2, expected .* \[0, 1\]"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
