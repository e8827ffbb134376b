"""The sparse world: its sum, its noise, forced features, sweeps and errors."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, magnitude, random
from synthetic.base import to_dense

N, D, BATCH = 6, 4, 32
# |x| is below 10 here: a sum of 7 float32 terms of that size is good to 7 * 10 * 6e-8.
ROUNDING = 5e-6

sample = jax.jit(lambda world, key, n: world.sample(key, n), static_argnums=2)


def make(probability=0.4, bias=0.0, noise=None, law=None):
    rows = directions.random(random.key(100), N, D)
    fires = firing.Independent(jnp.full(N, probability))
    return SparseFeatures(rows, fires, law or magnitude.Uniform(0.5, 2.0), bias, noise)


def embedded(world, features):
    rows = np.asarray(world.directions, np.float64)
    return np.asarray(features, np.float64) @ rows + np.asarray(world.bias, np.float64)


def test_one_probability_is_that_of_every_feature():
    rows = directions.random(random.key(100), N, D)
    one = SparseFeatures(rows, firing.Independent(0.3))
    assert one.firing.probability.shape == (N,)
    every = SparseFeatures(rows, firing.Independent(jnp.full(N, 0.3)))
    chex.assert_trees_all_equal(one, every)
    chex.assert_trees_all_equal(
        sample(one, random.key(1), BATCH), sample(every, random.key(1), BATCH)
    )
    stack = SparseFeatures(jnp.stack([rows, -rows]), firing.Independent(0.3))
    assert stack.firing.probability.shape == (2, N)
    rates = jnp.array([0.1, 0.6])
    swept = jax.vmap(lambda rate: SparseFeatures(rows, firing.Independent(rate)))(rates)
    np.testing.assert_array_equal(swept.firing.probability, np.repeat(rates[:, None], N, 1))


@pytest.mark.parametrize("probability", [1.5, -0.1])
def test_one_probability_is_checked_where_it_is_spread(probability):
    with pytest.raises(
        ValueError, match=r"probability holds .*, expected probabilities in"
    ):
        SparseFeatures(jnp.eye(N), firing.Independent(probability))


def test_random_worlds_in_one_call():
    world = SparseFeatures.random(random.key(5))
    assert (world.n_features, world.d_model) == (64, 32)
    np.testing.assert_allclose(world.firing.probability, 0.04)
    np.testing.assert_allclose(jnp.linalg.norm(world.directions, axis=1), 1, rtol=1e-6)
    rows = directions.random(random.key(6), N, D)
    rates = jnp.linspace(0.1, 0.3, N)
    law, sizes = firing.Independent(rates), magnitude.Constant(2.0)
    chex.assert_trees_all_equal(
        SparseFeatures.random(random.key(6), N, D, rates, sizes, bias=0.5, noise=0.1),
        SparseFeatures(rows, law, sizes, bias=0.5, noise=0.1),
    )


@pytest.mark.parametrize("bias", [0.0, 0.7, jnp.array([1.0, -2.0, 0.0, 3.0])])
def test_x_is_the_sum_of_the_present_directions(bias):
    world = make(bias=bias)
    batch = world.sample(jax.random.key(0), BATCH)
    assert batch.x.shape == (BATCH, D)
    assert batch.features.shape == (BATCH, N)
    np.testing.assert_allclose(batch.x, embedded(world, batch.features), atol=ROUNDING)


def test_absent_features_are_exactly_zero_and_present_ones_in_range():
    n = 2**14
    features = np.asarray(sample(make(0.3), random.key(1), n).features)
    present = features[features != 0]
    assert 0.5 <= present.min() < 0.51
    assert 1.99 < present.max() <= 2.0
    # The number present is binomial, of standard deviation sqrt(N n p (1 - p)).
    assert abs(len(present) - 0.3 * N * n) < 6 * np.sqrt(N * n * 0.3 * 0.7)


def test_the_level_that_decides_firing_gives_an_unbiased_value():
    """Given u < p, u / p is uniform again: mean 1/2, variance 1/12."""
    n = 2**14
    features = np.asarray(sample(make(0.1), random.key(2), n).features)
    level = (features[features != 0] - 0.5) / 1.5
    assert abs(level.mean() - 0.5) < 6 / np.sqrt(12 * len(level))


def test_noise_is_normal_isotropic_and_independent_of_the_features():
    n, std = 2**14, 0.3
    world = make(bias=0.5, noise=std)
    batch = sample(world, random.key(3), n)
    noise = (np.asarray(batch.x) - embedded(world, batch.features)) / std
    z = noise.T @ noise / np.sqrt(n)
    variance = np.diagonal(z) / np.sqrt(n)
    # Standard errors: of a mean 1/sqrt n, of a variance sqrt(2/n), of a covariance
    # 1/sqrt n; each is beyond 6 of them with probability 2e-9.
    assert np.abs(noise.mean(0)).max() < 6 / np.sqrt(n)
    assert np.abs(variance - 1).max() < 6 * np.sqrt(2 / n)
    assert np.abs(np.triu(z, 1)).max() < 6
    centred = np.asarray(batch.features) - np.asarray(batch.features).mean(0)
    shared = (centred / centred.std(0)).T @ noise / np.sqrt(n)
    assert np.abs(shared).max() < 6


def test_noise_leaves_the_features_alone():
    quiet = make().sample(random.key(4), BATCH)
    zero = make(noise=0.0).sample(random.key(4), BATCH)
    loud = make(noise=1.0).sample(random.key(4), BATCH)
    np.testing.assert_array_equal(quiet.features, loud.features)
    np.testing.assert_array_equal(quiet.x, zero.x)
    assert np.abs(np.asarray(loud.x - quiet.x)).max() > 1


@pytest.mark.parametrize(("feature", "value"), [(0, 0.0), (3, 1.5), (N - 1, -2.0)])
def test_do_changes_one_feature_and_moves_x_along_it(feature, value):
    world = make(bias=0.5, noise=0.3)
    batch = world.sample(random.key(5), BATCH)
    forced = world.do(random.key(5), BATCH, feature, value)
    others = np.arange(N) != feature
    np.testing.assert_array_equal(forced.features[:, others], batch.features[:, others])
    np.testing.assert_array_equal(forced.features[:, feature], value)
    change = np.asarray(forced.features - batch.features)[:, feature]
    assert (change != 0).any()
    moved = change[:, None] * np.asarray(world.directions)[feature]
    np.testing.assert_allclose(forced.x - batch.x, moved, atol=ROUNDING)


def test_do_takes_a_traced_feature_and_a_value_a_sample():
    world = make()
    value = jnp.linspace(1.0, 2.0, BATCH, dtype=jnp.float32)

    def force(i):
        return world.do(random.key(6), BATCH, i, value).features

    every = jax.vmap(force)(jnp.arange(N))
    for i in range(N):
        np.testing.assert_array_equal(every[i, :, i], value)
        np.testing.assert_array_equal(every[i], force(i))


def test_a_stack_of_worlds_samples_as_each_world_does():
    worlds = [make(0.2, 0.0, 0.1), make(0.9, 1.0, 0.5)]
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *worlds)
    assert (stack.n_features, stack.d_model) == (N, D)
    batch = jax.vmap(lambda world: world.sample(random.key(7), BATCH))(stack)
    for i, world in enumerate(worlds):
        single = world.sample(random.key(7), BATCH)
        np.testing.assert_allclose(batch.features[i], single.features, atol=ROUNDING)
        np.testing.assert_allclose(batch.x[i], single.x, atol=ROUNDING)


def test_changed_numbers_do_not_retrace():
    @jax.jit
    @chex.assert_max_traces(1)
    def sample_once(world, key):
        return world.sample(key, BATCH)

    means = []
    for p, shift in ((0.0, 0.0), (0.0, 2.0), (1.0, 2.0)):
        law = magnitude.Uniform(1.0, 1.0 + shift)
        batch = sample_once(make(p, shift, 0.1 * shift, law), random.key(8))
        means.append((float(batch.x.mean()), float(batch.features.mean())))
    assert means[0] == (0, 0)
    # The bias 2 and noise of deviation 0.2 in BATCH * D entries.
    assert means[1][0] == pytest.approx(2, abs=6 * 0.2 / np.sqrt(BATCH * D))
    # 192 values, uniform on [1, 3], of deviation 2 / sqrt 12.
    assert means[2][1] == pytest.approx(2, abs=6 * 2 / np.sqrt(12 * BATCH * N))


def test_pairs_carry_the_same_samples():
    world = make(noise=0.1)
    batch = world.sample(random.key(9), BATCH)
    x, pairs = world.sample_pairs(random.key(9), BATCH, N)
    np.testing.assert_array_equal(x, batch.x)
    np.testing.assert_array_equal(to_dense(pairs, N), batch.features)


def test_pairs_that_overflow_are_nan():
    batch = make().sample(random.key(10), BATCH)
    _, pairs = make().sample_pairs(random.key(10), BATCH, 2)
    overflow = np.asarray((batch.features != 0).sum(1) > 2)
    assert 0 < overflow.sum() < BATCH
    np.testing.assert_array_equal(np.isnan(pairs.value).all(1), overflow)
    np.testing.assert_array_equal(np.isnan(pairs.value).any(1), overflow)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: make().replace(directions=jnp.eye(5)),
            r"number of rows of directions is 5, expected 6; give one direction and",
        ),
        (lambda: make(1.2), r"probability holds 1.2, expected probabilities in \[0, 1\]; "),
        (lambda: make(noise=-0.1), r"noise is -0.1, expected .* \[0, inf\]; it is a devi"),
        (
            lambda: make().sample(random.key(0), 0),
            r"batch_size is 0, expected .* \[1, inf\]; an empty batch has no data",
        ),
        (
            lambda: make().do(random.key(0), 2, N, 1.0),
            r"feature is 6, expected .* \[0, 5\]; it is an index",
        ),
        (lambda: make().do(random.key(0), 2, -1, 1.0), r"feature is -1, expected"),
        (
            lambda: make().do(random.key(0), 0, 1, 1.0),
            r"batch_size is 0, expected .* an empty batch",
        ),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()
