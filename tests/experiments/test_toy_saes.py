"""The pentagon, what counts as full, the interval, and checks that notice failure."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from experiments import toy_saes
from experiments.toy_saes import Settings
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


def test_the_interval_covers_about_95_of_100_shares():
    low, high = toy_saes.wilson(np.arange(65), 64)
    for share in (0.11, 0.5, 0.94):
        covers = (low <= share) & (share <= high)
        # Wilson's intervals are right on average over shares, within 3 % at each of these.
        assert binom.pmf(np.arange(65), 64, share)[covers].sum() == pytest.approx(
            0.95, abs=0.03
        )
    # 7 of 64, from the formula by hand.
    assert (low[7], high[7]) == pytest.approx((0.0540, 0.2090), abs=1e-3)


def test_conditions_differ_in_penalty_and_rounds_alone():
    names, stacked = toy_saes.members(Settings(n_seeds=2))
    assert len(names) == 4
    np.testing.assert_allclose(stacked.sparsity, [0.4] * 4 + [0.1] * 4, rtol=1e-6)
    np.testing.assert_array_equal(stacked.revive.until, [0, 0, 17_500, 17_500] * 2)


def test_checks_pass_for_the_published_picture_and_fail_without_a_gain():
    names, _ = toy_saes.members(Settings(n_seeds=1))
    metrics = {
        "conditions": names,
        "full": [0.11, 0.94, 0.0, 0.0],
        "mmcs": [0.902, 0.995, 0.909, 0.94],
        "l0": [0.121, 0.113, 0.189, 0.226],
    }
    assert all(check.passed for check in toy_saes.make_checks(Settings(), metrics))
    metrics["full"] = [0.11, 0.3, 0.0, 0.0]
    failed = [c.name for c in toy_saes.make_checks(Settings(), metrics) if not c.passed]
    assert failed == [
        "full dictionaries that resampling gains",
        "penalty 0.2, with resampling: share full",
    ]
