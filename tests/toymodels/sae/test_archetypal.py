"""The archetypal dictionary: projections, the hull of its rows, seeds that agree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import random
from toymodels import testing
from toymodels.classical import KMeans
from toymodels.sae import TopK, training
from toymodels.sae.archetypal import Archetypal, no_longer, on_simplex
from toymodels.scores.consistency import pairwise_mcc, seed_consistency


@pytest.fixture(scope="module")
def points():
    return jax.random.normal(random.key(0), (10, 5))


def test_conformance(points):
    testing.check(Archetypal(12, points, k=3), random.key(0))


def test_projections_by_hand():
    found = on_simplex(jnp.array([[3.0, -1.0, 1.0], [-1.0, -2.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.75, 0, 0.25], [1 / 3] * 3], rtol=1e-6)
    rows = no_longer(jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), 1.0)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("slack", [0.0, 0.2])
def test_rows_stay_within_the_slack_of_the_hull(points, slack):
    """Ten large steps: shares stay shares, and others than the first point's come up."""
    dictionary = Archetypal(10, points, k=3, slack=slack)
    optimizer = optax.adam(0.1)
    state = training.start(random.key(1), dictionary, 5, optimizer)
    x = jax.random.normal(random.key(2), (64, 5))

    @jax.jit
    def step(state, key):
        grads, outcome = jax.jit(jax.grad(dictionary.loss, has_aux=True))(
            state.params, x, state.memory, state.step
        )
        updates, opt = optimizer.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        moved = state.replace(params=params, opt=opt, memory=outcome.memory)
        return dictionary.after(key, moved, x)

    # Every row starts at a point of its own.
    np.testing.assert_array_equal(np.sort(state.params.mixture.argmax(1)), np.arange(10))
    for key in jax.random.split(random.key(3), 10):
        state = step(state, key)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), state.params)
    assert (params.mixture >= 0).all()
    np.testing.assert_allclose(params.mixture.sum(axis=1), 1, rtol=1e-6)
    assert ((params.mixture > 0).sum(axis=1) > 1).any()
    apart = params.W_dec / np.exp(params.scale) - params.mixture @ np.asarray(points, float)
    assert (np.linalg.norm(apart, axis=1) <= slack + 1e-5).all()
    assert abs(float(params.scale)) > 0.01


@pytest.mark.slow
def test_seeds_agree_more_than_without_the_hull(easy_world):
    """16 latents for 8 features: half of them have no direction of their own to find."""
    x = easy_world.sample(random.key(4), 2_000).x
    centres = jax.jit(lambda x: KMeans(16).fit(random.key(5), x))(x).W_dec

    def agreement(dictionary):
        rows = [
            training.fit(random.key(seed), dictionary, easy_world, 1_000, 128).params.W_dec
            for seed in (6, 7, 8)
        ]
        return seed_consistency(pairwise_mcc(rows))

    assert agreement(Archetypal(16, centres, k=2, slack=0.1)) > agreement(TopK(16, k=2))


def test_points_of_another_width_are_refused(points):
    with pytest.raises(ValueError, match="the width of points is 5, expected 4"):
        Archetypal(8, points).init(random.key(9), 4)
