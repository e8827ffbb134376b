"""Counts, slopes and checks of incidental_polysemanticity."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.later_toy_models import incidental_polysemanticity as polysemanticity


def test_neurons_with_two_features_are_counted():
    W = np.zeros((4, 3))
    W[0, 0], W[1, 0] = 1, -1  # polysemantic
    W[2, 1], W[3, 1] = 1, 0.5  # the second is too small
    W[3, 2] = 1.3  # too large
    assert polysemanticity.count_polysemantic(W) == 1


def test_one_neuron_each_or_shared_by_opposite_signs_is_exact():
    apart = jnp.eye(2, 3)
    opposite = jnp.array([[1.0, 0, 0], [-1, 0, 0]])
    same = jnp.array([[1.0, 0, 0], [1, 0, 0]])
    assert polysemanticity.squared_error(apart) == 0
    assert polysemanticity.squared_error(opposite) == 0
    assert polysemanticity.squared_error(same) == 2


def test_the_slope_of_the_law_is_minus_one():
    m = np.array([128, 256, 512])
    count = 4096 / 4 / m[:, None] * np.ones((3, 5))
    assert polysemanticity.slope(m, count) == pytest.approx(-1)


def test_chance_is_that_of_random_choices():
    generator = np.random.default_rng(0)
    n, m, trials = 16, 24, 4_000
    places = np.zeros((trials, m, 2), bool)
    choice = generator.integers(2 * m, size=(trials, n))
    np.put_along_axis(places.reshape(trials, -1), choice, values=True, axis=1)
    found = places.all(axis=-1).sum(axis=-1).mean()
    assert polysemanticity.expected_by_chance(n, np.array(m)) == pytest.approx(
        found, rel=0.05
    )


def test_a_mean_of_zero_still_gives_a_number():
    count = np.array([[2, 2], [0, 0]])
    assert np.isfinite(polysemanticity.slope(np.array([8, 16]), count))


def test_another_law_fails():
    metrics = {"slope_in_chance": 1.0, "mean_count": [8, 4], "by_chance": [8, 4]}
    metrics |= {"share_held": [1.0, 1.0]}
    assert all(check.passed for check in polysemanticity.make_checks(metrics))
    wrong = polysemanticity.make_checks(
        metrics | {"slope_in_chance": 2.0, "mean_count": [1, 0.2]}
    )
    assert [check.passed for check in wrong] == [False, False, True]


def test_the_error_of_the_slope_is_that_of_poisson_counts():
    settings = polysemanticity.Settings(hidden=(64, 256), n_seeds=12)
    expected = polysemanticity.expected_by_chance(64, np.array(settings.hidden))
    drawn = np.random.default_rng(0).poisson(expected[:, None], (4_000, 2, 12))
    slopes = [polysemanticity.slope(expected, count) for count in drawn]
    assert polysemanticity.slope_error(settings) == pytest.approx(np.std(slopes), rel=0.1)


def test_a_band_of_fewer_seeds_is_wider_by_their_error():
    few = polysemanticity.Settings(n_seeds=12)
    error = polysemanticity.slope_error
    assert error(few) == pytest.approx(2 * error(polysemanticity.Settings()))
