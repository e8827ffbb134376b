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
