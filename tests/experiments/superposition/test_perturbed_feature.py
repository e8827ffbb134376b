"""Where two curves cross, and what the checks hold against the trained winners."""

import numpy as np
import pytest

from experiments.superposition import perturbed_feature as experiment


def test_crossing_of_two_lines():
    x = np.linspace(0, 1, 5)
    first, second = np.exp(x), np.exp(1 - x)
    assert experiment.crossing(x, first, second) == pytest.approx(0.5)


def test_structures():
    assert experiment.structure(experiment.FIVE) == "pentagon"
    assert experiment.structure(experiment.FOUR) == "two digons"
    assert experiment.structure(np.zeros((5, 2))) == "other"


def test_the_varied_feature_comes_first():
    found = experiment.densities(0.05, np.array([0.4, 2.0]))
    np.testing.assert_allclose(found, [[0.02, *[0.05] * 4], [0.1, *[0.05] * 4]])


def metrics():
    pentagon, digons = (
        np.array(experiment.PENTAGON),
        np.array([*experiment.DIGONS, 4, 4, 4]),
    )
    uniform = experiment.UNIFORM.items()
    return {
        "ratio": list(experiment.RATIOS),
        "pentagon": list(pentagon / 1e3),
        "digons": list(digons / 1e3),
        "uniform_pentagon": {str(p): pair[0] for p, pair in uniform},
        "uniform_digons": {str(p): pair[1] for p, pair in uniform},
        "crossing": 0.27,
        "uniform_crossing": 0.22,
        "trained_ratio": [0.2, 0.4],
        "winner": ["two digons", "pentagon"],
        "excess": [0.0, 0.001],
    }


def test_checks_pass_for_the_published_curves():
    assert all(check.passed for check in experiment.make_checks(metrics()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crossing": 0.4, "winner": ["two digons", "two digons"]},
        {"winner": ["pentagon", "pentagon"]},
        {"excess": [0.0, 0.05]},
        {"pentagon": [0.0011] * 11},
        {"uniform_crossing": 0.3},
    ],
)
def test_checks_fail_for_wrong_results(wrong):
    assert not all(check.passed for check in experiment.make_checks(metrics() | wrong))
