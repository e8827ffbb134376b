"""Which level a loss is on, and where it rests."""

import numpy as np
import pytest

from experiments.later_toy_models import kgon_energy_levels as experiment

LEVELS = {"4-gon": 0.1111, "5-gon": 0.0687, "6-gon": 0.0482}


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.1112, "4-gon"), (0.0480, "6-gon"), (0.09, "none")]
)
def test_nearest_level(loss, expected):
    assert experiment.nearest(loss, LEVELS) == expected


def test_rest_is_counted_and_falls_are_not():
    on_level = np.full(20, 0.1111)
    between = np.full(20, 0.09)
    fall = np.geomspace(0.2, 0.1, 10)
    loss = np.concatenate([fall, on_level, between])[:, None]
    found = experiment.share_of_rest_on_levels(loss, LEVELS)
    # Two of fifty rows are "a twentieth of the run": each rest loses its last two.
    assert found == pytest.approx(0.5, abs=0.03)
    assert experiment.share_of_rest_on_levels(fall[:, None], LEVELS) == 0


def test_importance_where_the_pentagon_and_the_hexagon_are_equal():
    """0.6582 in an independent solution."""
    assert experiment.importance_switch() == pytest.approx(0.6582, abs=5e-4)


def test_models_between_levels_fail_their_checks():
    ends = {"5-gon+": 20, "none": 4}
    right = {"ends": {"Adam": ends | {"none": 0}}, "rests_on_a_level": {"Adam": 0.95}}
    wrong = {"ends": {"Adam": ends}, "rests_on_a_level": {"Adam": 0.5}}
    assert [c.passed for c in experiment.make_checks(right)] == [True, True]
    assert [c.passed for c in experiment.make_checks(wrong)] == [False, False]
