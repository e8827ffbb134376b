"""Nonlinear compression: the staircase, exact codes, and a check that must fail."""

import numpy as np
import pytest

from experiments.harness import runner
from experiments.superposition import nonlinear_compression as experiment
from experiments.superposition.nonlinear_compression import Settings


def test_the_staircase_is_the_floor_but_for_its_ramps():
    v = np.array([0.0, 0.5, 0.89, 0.95, 1.0, 1.5, 2.95, 3.0])
    found = experiment.staircase(v, 3, ramp=0.1)
    # The last step has no edge above it: nothing follows.
    np.testing.assert_allclose(found, [0, 0, 0, 0.5, 1, 1, 2, 2], atol=1e-12)


def test_a_steep_code_keeps_y_and_the_step_of_x():
    x, y = np.array([0.1, 0.4, 0.9]), np.array([0.2, 0.7, 0.5])
    t = experiment.code(x, y, 3, ramp=1e-6)
    np.testing.assert_allclose(t, [0.2 / 3, 1.7 / 3, 2.5 / 3])
    x_hat, y_hat = experiment.decode(t, 3, ramp=1e-6)
    np.testing.assert_allclose(x_hat, [1 / 6, 3 / 6, 5 / 6])
    np.testing.assert_allclose(y_hat, y)


def test_one_step_keeps_y_alone():
    """The best linear code: x is answered with its mean, a variance of 1/12."""
    assert experiment.error(1, 0.1, 400)[1].mean() == pytest.approx(1 / 12, rel=1e-4)


def test_a_code_worse_than_linear_fails():
    settings = Settings(shown_ramp=0.3)
    shown = experiment.error(3, 0.3, 200)[1]
    checks = experiment.make_checks(settings, np.ones((6, 8)), shown)
    assert [check.passed for check in checks] == [False, False]


def test_the_quick_run_passes(tmp_path):
    quick = experiment.EXPERIMENT.quick
    _, record, paths = runner.perform(experiment.EXPERIMENT, quick, 0, tmp_path)
    assert record.passed
    assert tmp_path / "nonlinear_compression.png" in paths
