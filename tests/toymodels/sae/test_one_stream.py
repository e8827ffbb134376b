"""Variants on one stream: as if each were alone, however the run is cut."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import random
from toymodels.sae import ReLU, TopK, fit, one_stream, training
from toymodels.training import ensemble

OPTIMIZER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-2))
KEY = random.key(3)


@pytest.fixture(scope="module")
def members():
    """Two penalties of one variant, three k of another."""
    return {
        "relu": ensemble.stack([ReLU(9, sparsity=s) for s in (0.1, 0.3)]),
        "topk": ensemble.stack([TopK(12, k=k, dead_after=50) for k in (1, 2, 3)]),
    }


@pytest.fixture(scope="module")
def states(members):
    def start(key, stacked):
        keys = jax.random.split(key, len(jax.tree.leaves(stacked)[0]))
        return jax.vmap(lambda k, d: training.start(k, d, 8, OPTIMIZER))(keys, stacked)

    keys = jax.random.split(random.key(4))
    return {name: start(k, members[name]) for name, k in zip(members, keys, strict=True)}


@pytest.fixture(scope="module")
def advance(members, easy_world):
    settings = {"world": easy_world, "optimizer": OPTIMIZER, "batch_size": 16}
    return jax.jit(
        lambda s, n: one_stream.advance(jax.random.clone(KEY), members, s, n, **settings)
    )


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.slow
def test_a_run_cut_in_two_is_the_whole_run(advance, states):
    whole, chunks = advance(states, 7)
    half, first = advance(states, 3)
    rest, second = advance(half, 4)
    equal(whole, rest)
    for name in chunks:
        joined = (3 * first[name].metrics["loss"] + 4 * second[name].metrics["loss"]) / 7
        # Float32 means of a few numbers.
        np.testing.assert_allclose(chunks[name].metrics["loss"], joined, rtol=1e-5)
        assert (np.asarray(chunks[name].bad_step) == -1).all()


@pytest.mark.slow
def test_each_member_ends_where_it_would_alone(advance, states, members, easy_world):
    together, chunks = advance(states, 5)
    settings = {"world": easy_world, "optimizer": OPTIMIZER, "batch_size": 16}
    alone = jax.jit(
        lambda d, s, n: training.advance(jax.random.clone(KEY), d, s, n, **settings)
    )
    for name, i in (("relu", 1), ("topk", 0), ("topk", 2)):
        own = (members[name], states[name], together[name])
        dictionary, state, found = jax.tree.map(operator.itemgetter(i), own)
        moved, chunk = alone(dictionary, state, 5)
        # Two programs for the same sums in float32, five steps of size 0.01.
        np.testing.assert_allclose(found.params.W_dec, moved.params.W_dec, atol=1e-5)
        assert int(found.step) == int(moved.step) == 5
        assert chunks[name].metrics["loss"][i] == pytest.approx(
            float(chunk.metrics["loss"]), rel=1e-5
        )


def test_the_first_bad_step_is_named(advance, states):
    broken = dict(states)
    W_dec = broken["topk"].params.W_dec.at[1].set(jnp.nan)
    broken["topk"] = broken["topk"].replace(
        params=broken["topk"].params._replace(W_dec=W_dec)
    )
    _, chunks = advance(broken, 4)
    assert np.asarray(chunks["topk"].bad_step).tolist() == [-1, 0, -1]
    assert np.asarray(chunks["relu"].bad_step).tolist() == [-1, -1]


def test_fitted_variants_are_those_fitted_alone(members, easy_world):
    settings = {"n_steps": 5, "batch_size": 16, "learning_rate": 1e-2}
    found = one_stream.fit_variants(random.key(5), members, easy_world, **settings)
    pair = members["topk"], found["topk"]
    dictionary, own = jax.tree.map(operator.itemgetter(2), pair)
    alone = fit(random.key(5), dictionary, easy_world, **settings).params
    # Two programs for the same sums in float32, five steps of size 0.01.
    np.testing.assert_allclose(own.W_dec, alone.W_dec, atol=1e-5)


def test_members_with_one_seed_start_alike(easy_world):
    members = {"topk": ensemble.stack([TopK(12, k=2)] * 3)}
    settings = {"n_steps": 1, "batch_size": 16, "seeds": (0, 1, 0)}
    W_dec = one_stream.fit_variants(random.key(6), members, easy_world, **settings)[
        "topk"
    ].W_dec
    np.testing.assert_array_equal(W_dec[0], W_dec[2])
    assert np.abs(W_dec[0] - W_dec[1]).max() > 0.1
