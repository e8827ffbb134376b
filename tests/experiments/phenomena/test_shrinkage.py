"""The closed forms against a minimiser and against samples, and checks that notice."""

import numpy as np
import pytest
from scipy import optimize

from experiments.phenomena import shrinkage
from experiments.phenomena.shrinkage import Settings

SETTINGS = Settings(values=(0.3, 1.0), lone_penalties=(0.2, 0.8), density=0.3)


def test_codes_of_one_feature_minimise_the_expected_loss():
    found = shrinkage.lone_codes(SETTINGS, SETTINGS.values)
    assert found.shape == (2, 2, 2)
    for has_bias in (0, 1):
        for i, a in enumerate(SETTINGS.values):
            for j, penalty in enumerate(SETTINGS.lone_penalties):

                def loss(point, a=a, penalty=penalty, has_bias=has_bias):
                    z, b = point[0], has_bias * point[1]
                    present = (a - b - z) ** 2 + penalty * z
                    return 0.3 * present + 0.7 * b**2

                best = optimize.minimize(
                    loss, [a, 0.0], method="L-BFGS-B", bounds=[(0, None), (None, None)]
                )
                assert found[has_bias, i, j] == pytest.approx(best.x[0], abs=1e-4)


def test_the_slope_of_a_lone_feature_is_that_of_samples():
    settings = Settings(penalties=(0.2, 1.0))
    rng = np.random.default_rng(0)
    present = rng.random(400_000) < settings.n_present / settings.n_features
    a = np.where(present, 1 + settings.spread * rng.normal(size=present.shape), 0)
    for penalty, slope in zip(
        settings.penalties, shrinkage.lone_slope(settings), strict=True
    ):
        z = np.where(present, np.maximum(a - penalty / 2, 0), 0)
        # 12,500 samples with the feature, whose values vary by 0.15.
        assert np.polyfit(a, z, 1)[0] == pytest.approx(slope, abs=3e-3)


def right():
    penalty = np.array([0.1, 0.4, 1.0])
    alone = shrinkage.lone_slope(Settings(penalties=tuple(penalty)))
    metrics = {
        "largest_error": [1e-5, 1e-3],
        "slope": alone - 0.05,
        "norm_ratio": [0.9, 0.75, 0.5],
        "topk": {"slope": 1.01, "norm_ratio": 0.98, "mcc_dec": 0.95},
    }
    return metrics, {"penalty": penalty, "alone": alone}


def failed(metrics, arrays):
    checks = shrinkage.make_checks(metrics, arrays)
    return [check.name for check in checks if not check.passed]


def test_the_right_picture_passes_and_codes_that_do_not_shrink_fail():
    metrics, arrays = right()
    assert failed(metrics, arrays) == []
    faithful = metrics | {
        "largest_error": [0.05, 0.1],
        "slope": [1.0, 1.0, 1.01],
        "norm_ratio": [1.0, 1.0, 1.0],
        "topk": metrics["topk"] | {"slope": 0.8},
    }
    assert len(failed(faithful, arrays)) == len(shrinkage.make_checks(metrics, arrays))
