"""Jumps, end states and local bases: what the two experiments read off their models."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness import runner
from experiments.superposition import learning_dynamics as dynamics
from experiments.superposition import local_bases

AXES = np.eye(3)


def test_settled_features_are_dropped_or_in_pairs():
    found = dynamics.is_settled(np.array([0.0, 0.02, 0.1, 0.45, 0.48, 0.5, 0.52, 0.6]))
    expected = [True, True, False, False, True, True, True, False]
    np.testing.assert_array_equal(found, expected)


def test_a_jump_is_found_with_the_drop_of_the_loss():
    D = np.full((100, 3), 0.5)
    D[:60, 1] = 0.0
    loss = np.linspace(1, 0.99, 100)
    loss[60:] -= 0.1
    jump = dynamics.find_jump(D, loss)
    assert jump["size"] == 0.5
    assert 58 <= jump["row"] < 60
    assert jump["loss_fall"] == pytest.approx(0.1, rel=0.05)
    assert jump["rank"] > 0.95


def test_the_start_of_training_is_no_jump():
    D = np.full((100, 3), 0.5)
    D[:5] = 0
    assert dynamics.find_jump(D, np.ones(100))["size"] == 0


def test_a_jump_without_a_drop_ranks_low():
    D = np.full((100, 3), 0.5)
    D[:60, 1] = 0.0
    loss = np.linspace(1, 0.5, 100)
    loss[57:64] = loss[57]
    assert dynamics.find_jump(D, loss)["rank"] < 0.2


@pytest.mark.parametrize(
    ("W", "name"),
    [
        (np.vstack([AXES, -AXES]), "octahedron"),
        (np.vstack([AXES, -1.05 * AXES[[1, 2, 0]]]), "octahedron"),
        (np.vstack([AXES[0], -AXES[0], AXES[1], -AXES[1], AXES[2], -AXES[2]]), "pairs wit"),
        (np.vstack([AXES, -AXES]) * np.array([[1, 1, 1, 0.1, 1, 1]]).T, "1 dropped"),
        (np.vstack([AXES, AXES]), "other"),
    ],
)
def test_end_states_have_names(W, name):
    turned = W @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert dynamics.name_end_state(turned).startswith(name)


def test_pairs_of_two_sets_and_of_one_are_no_octahedron_across_sets():
    W = np.stack([AXES[0], -AXES[0], AXES[1], -AXES[1], AXES[2], -AXES[2]])
    assert dynamics.name_end_state(W) == "pairs within a set"


def test_the_distance_counts_octahedra_only():
    D = np.array([[0.5] * 6, [0.51] * 6, [0.9] * 6])
    states = ["octahedron", "octahedron", "other"]
    assert dynamics.octahedron_distance(D, states) == pytest.approx(0.01)
    assert dynamics.octahedron_distance(D, ["other"] * 3) is None


GOOD = {
    "settled_share": 1.0,
    "shown": {"size": 0.4, "rank": 0.99, "loss_fall": 0.01},
    "octahedra": 0.95,
    "octahedron_distance": 0.01,
    "end_states": {"octahedron": 30, "1 dropped": 2},
}


@pytest.mark.parametrize(
    ("change", "n_failing"),
    [
        ({}, 0),
        ({"settled_share": 0.5}, 1),
        ({"shown": {"size": 0.05, "rank": 0.5, "loss_fall": 0.0}}, 2),
        ({"octahedra": 0.3}, 1),
        ({"octahedron_distance": 0.1}, 1),
        ({"octahedra": 0.0, "octahedron_distance": None}, 2),
    ],
)
def test_checks_of_the_dynamics(change, n_failing):
    checks = dynamics.make_checks(GOOD | change)
    assert sum(not check.passed for check in checks) == n_failing
    assert len(dynamics.table(GOOD)) == 3


def test_overlap_is_taken_within_sets_only():
    gram = np.eye(20)
    gram[0, 15] = gram[15, 0] = -0.8
    gram[3, 4] = gram[4, 3] = -0.12
    gram[7, 7] = 1.05
    overlap, squares = local_bases.within_sets(gram)
    assert overlap == pytest.approx(0.12)
    np.testing.assert_allclose(squares, [1, 1.05])


@pytest.mark.parametrize(
    ("overlap", "squares", "n_failing"),
    [(0.05, [0.97, 1.03], 0), (0.3, [0.97, 1.03], 1), (0.05, [0.1, 1.4], 2)],
)
def test_checks_of_the_bases(overlap, squares, n_failing):
    metrics = {
        "density": [0.1],
        "best_loss": [1e-3],
        "best_overlap": [overlap],
        "best_norms": [squares],
    }
    checks = local_bases.make_checks(metrics)
    assert sum(not check.passed for check in checks) == n_failing
    assert len(local_bases.table(metrics)) == 2


TINY = {"n_seeds": 2, "steps": 20, "batch_size": 32, "n_samples": 1 << 13}
TINY_SETS = {"n_features": 20, "n_hidden": 5, "n_rows": 20, "set_seeds": 2}
TINY_SETS |= {"set_steps": 20, "set_rows": 20}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "sizes"), [(local_bases, TINY), (dynamics, TINY | TINY_SETS)]
)
def test_a_tiny_run_leaves_a_record_and_figures(module, sizes, tmp_path):
    experiment = module.EXPERIMENT
    settings = replace(experiment.quick, **sizes)
    result, record, paths = runner.perform(experiment, settings, 100, tmp_path)
    assert record.checks == result.checks
    assert all(path.exists() for path in paths)
