"""Pairs of features: cosines, who succeeded, counts of merged pairs, and the checks."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness import runner
from experiments.superposition import correlated_features as paired
from experiments.superposition import pca_or_superposition as merging


def directions(*degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], -1)


RIGHT_ANGLES = directions(0, 90, 180, 270)
DIGONS = directions(10, 190, 100, 280)
HEXAGON = directions(0, 64, 120, 184, 240, 304)
MERGED = directions(0, 1, 120, 184, 240, 304)


def test_cosines_of_partners_do_not_depend_on_lengths():
    scaled = HEXAGON * np.arange(1, 7)[:, None]
    expected = [np.cos(np.radians(64))] * 3
    np.testing.assert_allclose(paired.partner_cosines(scaled), expected)
    np.testing.assert_allclose(paired.partner_cosines(DIGONS), -1)
    np.testing.assert_allclose(paired.partner_cosines(RIGHT_ANGLES), 0, atol=1e-12)


def test_what_counts_as_success():
    dropped = RIGHT_ANGLES * np.array([1, 1, 1, 0.1])[:, None]
    stack = np.stack([RIGHT_ANGLES, dropped])
    np.testing.assert_array_equal(paired.all_held(stack, np.zeros(2)), [True, False])
    found = paired.none_collapsed(np.stack([HEXAGON, MERGED]), np.zeros(2))
    np.testing.assert_array_equal(found, [True, False])
    found = paired.without_loss(stack, np.array([1e-9, 1e-3]))
    np.testing.assert_array_equal(found, [True, False])


@pytest.mark.parametrize(
    ("degrees", "count"),
    [
        ((0, 64, 120, 184, 240, 304), 0),
        ((0, 1, 120, 184, 240, 304), 1),
        ((0, 1, 90, 91, 180, 270), 2),
        ((0, 0, 120, 120, 240, 240), 3),
        ((0, 180, 0, 180, 0, 180), 0),
    ],
)
def test_merged_pairs_are_counted(degrees, count):
    assert merging.count_collapsed(directions(*degrees)) == count


@pytest.fixture(autouse=True)
def quadrature(monkeypatch):
    """The optimum for two features in one dimension at density 0.1: 0.00332 for both."""
    monkeypatch.setattr(paired.expected_loss, "optimum", lambda *_: 0.00166)


def a_good_result():
    settings = paired.Settings()
    W = {
        "correlated": RIGHT_ANGLES,
        "anticorrelated": DIGONS,
        "three_pairs": HEXAGON,
    }
    other = {"anticorrelated": RIGHT_ANGLES, "three_pairs": MERGED}
    loss = {"correlated": 0.00166, "anticorrelated": 0.0, "three_pairs": 0.001}
    metrics = {}
    for name, arrangement in paired.arrangements(settings).items():
        seeds = np.stack([W[name], other.get(name, W[name])])
        stack = np.broadcast_to(seeds, (len(arrangement.density), *seeds.shape))
        losses = np.tile([loss[name], loss[name] + 0.1], (len(arrangement.density), 1))
        metrics[name] = paired.measure(arrangement, stack, losses)
    return settings, metrics


def failures(settings, metrics):
    return [c.name for c in paired.make_checks(settings, metrics) if not c.passed]


def test_checks_pass_for_the_published_result():
    assert failures(*a_good_result()) == []


@pytest.mark.parametrize(
    ("part", "key", "value", "failing"),
    [
        ("correlated", "largest_cosine", 0.5, "largest |cosine|"),
        ("correlated", "share_of_seeds", [1, 1, 0.5, 1], "holds all"),
        ("correlated", "best_loss", [0.002] * 4, "correlated: best loss"),
        ("anticorrelated", "best_loss", [0, 0, 1e-3, 0], "loss of the best"),
        ("anticorrelated", "best_cosines", [[-1, 0.0]] * 4, "anticorrelated: largest"),
        ("anticorrelated", "share_of_seeds", [0.0] * 4, "share without loss"),
        ("three_pairs", "best_cosines", [[1.0, 0.3, 0.3]] * 4, "three pairs: largest"),
        ("three_pairs", "best_cosines", [[0.4, 0.4, 0.1]] * 4, "three pairs: smallest"),
        ("three_pairs", "share_of_seeds", [1.0] * 4, "with a merged pair"),
    ],
)
def test_checks_fail_for_another_result(part, key, value, failing):
    settings, metrics = a_good_result()
    metrics[part][key] = value
    assert any(failing in name for name in failures(settings, metrics))


def test_counts_are_checked_where_the_paper_gives_them():
    metrics = {"density": [0.5, 0.35, 0.18, 0.1], "best_collapsed": [3, 2, 2, 0]}
    checks = merging.make_checks(metrics)
    assert [check.passed for check in checks] == [True, True, False]


def test_the_table_has_a_line_for_each_model():
    _, metrics = a_good_result()
    assert len(paired.table(metrics)) == 1 + 12


@pytest.mark.slow
@pytest.mark.parametrize("module", [paired, merging])
def test_a_tiny_run_leaves_a_record_and_figures(module, tmp_path):
    experiment = module.EXPERIMENT
    tiny = {"n_seeds": 2, "steps": 20, "batch_size": 32, "n_samples": 1 << 13}
    settings = replace(experiment.quick, **tiny)
    result, record, paths = runner.perform(experiment, settings, 100, tmp_path)
    assert record.checks == result.checks
    assert all(path.exists() for path in paths)
