"""The pentagon, what counts as full, the interval, and checks that notice failure."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.phenomena import toy_saes
from experiments.phenomena.toy_saes import Settings
from synthetic import random

TRUE = np.asarray(toy_saes.polygon(Settings()).directions)
ALIVE = jnp.zeros(5, bool)


def turned(degrees: float) -> np.ndarray:
    a = np.deg2rad(degrees)
    return TRUE @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def test_the_polygon_is_regular_and_its_features_have_the_stated_mean():
    gram = TRUE @ TRUE.T
    np.testing.assert_allclose(np.diag(gram), 1, rtol=1e-6)
    np.testing.assert_allclose(gram[0, [1, 4]], np.cos(np.deg2rad(72)), rtol=1e-5)
    features = toy_saes.polygon(Settings()).sample(random.key(0), 1 << 14).features
    # The mean over 80,000 draws is 0.025 * 1.15 / 2 = 0.0144 with an error of 0.0004.
    assert float(features.mean()) == pytest.approx(0.025 * 1.15 / 2, abs=0.002)


def test_positions_are_the_samples_of_the_world():
    world = toy_saes.polygon(Settings())
    found = toy_saes.positions(world, 64, random.key(1))
    np.testing.assert_allclose(found, world.sample(random.key(1), 64).x, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "dead", "expected"),
    [
        (TRUE, ALIVE, True),
        (3 * TRUE[::-1], ALIVE, True),
        (turned(13), ALIVE, True),  # cos 13 deg = 0.974
        (turned(15), ALIVE, False),  # cos 15 deg = 0.966
        (-TRUE, ALIVE, False),
        (TRUE[[0, 1, 2, 3, 3]], ALIVE, False),
        (TRUE, ALIVE.at[2].set(True), False),
    ],
)
def test_full_means_every_feature_found_and_none_dead(rows, dead, expected):
    assert bool(toy_saes.is_full(jnp.asarray(rows), jnp.asarray(TRUE), dead)) is expected


def test_the_start_is_apart_and_its_rows_have_unit_length():
    params = toy_saes.started_apart(random.key(2), 5, 2)
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 1, rtol=1e-6)
    assert float(jnp.abs(params.W_enc).max()) <= 0.6**0.5
    cosine = np.sum(np.asarray(params.W_enc).T * params.W_dec, axis=1)
    assert cosine.min() < 0 < cosine.max()


def test_conditions_differ_in_penalty_rounds_and_start_alone():
    settings = Settings(n_seeds=2)
    found = toy_saes.conditions(settings)
    stacked = toy_saes.members(found, settings)
    np.testing.assert_allclose(
        stacked.sparsity, [0.4] * 4 + [0.1] * 4 + [0.4] * 2, rtol=1e-6
    )
    rounds = [0, 0, 17_500, 17_500] * 2 + [0, 0]
    np.testing.assert_array_equal(stacked.revive.until, rounds)
    tied = found[-1].start(random.key(3), 5, 2)
    np.testing.assert_array_equal(tied.W_enc.T, tied.W_dec)


def test_checks_pass_for_the_published_picture_and_fail_without_a_gain():
    metrics = {
        "conditions": [c.name for c in toy_saes.conditions(Settings())],
        "full": [0.11, 0.94, 0.0, 0.0, 1.0],
        "feature_max_cosine": [0.902, 0.995, 0.909, 0.94, 0.99],
        "l0": [0.121, 0.113, 0.189, 0.226, 0.12],
    }
    assert all(check.passed for check in toy_saes.make_checks(Settings(), metrics))
    metrics["full"] = [0.11, 0.3, 0.0, 0.0, 1.0]
    failed = [c.name for c in toy_saes.make_checks(Settings(), metrics) if not c.passed]
    assert failed == [
        "full dictionaries that resampling gains",
        "penalty 0.2, with resampling: full",
    ]
