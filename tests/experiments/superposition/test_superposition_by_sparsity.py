"""Superposition by sparsity: closed forms, and checks that a wrong result fails."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.superposition import superposition_by_sparsity as experiment
from experiments.superposition.superposition_by_sparsity import (
    LARGE,
    SMALL,
    Models,
    Settings,
)

SETTINGS = Settings(densities=(1.0, 0.1))


def test_the_dense_loss_of_the_published_size():
    # 0.002323: the importances 0.7^5 ... 0.7^19, over 12 and over 20.
    assert experiment.dense_loss(SMALL) == pytest.approx(0.002323, abs=5e-7)


def planted(size, held, n_seeds=2, bias=0.0, loss=1.0):
    """Models that hold the first features, as many as `held` says for each density."""
    W = np.zeros((len(held), n_seeds, size.n_features, size.n_hidden))
    for density, count in enumerate(held):
        for i in range(count):
            W[density, :, i, i % size.n_hidden] = 1.0 if i < size.n_hidden else -1.0
    b = jnp.full((len(held), n_seeds, size.n_features), bias)
    return Models(jnp.asarray(W), b, np.full((len(held), n_seeds), loss))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["20-5", "80-20"])
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, None),
        ({"linear_held": 2}, "linear: largest distance of a norm from 1 or 0"),
        ({"bias": 0.1}, "linear: mean bias of the rest"),
        ({"held": (2, 8)}, "density 1: largest distance"),
        ({"held": (5, 2)}, "smallest rise"),
        ({"loss": 1.05}, "density 1: median loss"),
    ],
)
def test_a_wrong_result_fails_its_check(size, change, name):
    m = size.n_hidden // 5
    held = [m * count for count in change.get("held", (5, 8))]
    bias = change.get("bias", experiment.LINEAR_DENSITY / 2)
    linear = planted(size, [m * change.get("linear_held", 5)], bias=bias)
    loss = change.get("loss", 1.0) * experiment.dense_loss(size)
    relu = planted(size, held, loss=loss)
    found = experiment.measure(relu)
    assert found["held"] == [[count] * 2 for count in held]
    checks = experiment.exact_checks(size, SETTINGS, linear, relu, found)
    failed = [check.name for check in checks if not check.passed]
    assert bool(failed) == bool(name)
    assert not name or any(name in check for check in failed)


def test_features_held_and_alone():
    found = experiment.measure(planted(SMALL, (5, 8)))
    assert found["alone"] == [[5, 5], [2, 2]]
    assert found["dimensions_per_feature"] == [[1.0, 1.0], [0.625, 0.625]]


def test_the_best_seed_is_drawn():
    relu = planted(SMALL, (5, 8))
    relu = relu._replace(
        W=relu.W.at[1, 1].multiply(2), loss=np.array([[1.0, 2.0], [2.0, 1.0]])
    )
    drawn = experiment.panels(SMALL, planted(SMALL, (5,)), relu)
    assert drawn["20-5/W"].shape == (3, 20, 5)
    np.testing.assert_array_equal(drawn["20-5/W"][2], relu.W[1, 1])


def test_the_published_medians_are_asked_of_as_many_seeds_and_steps():
    found = {"dimensions_per_feature": [[1.0], [0.545], [0.43]]}
    quick = experiment.EXPERIMENT.quick
    checks = experiment.published_checks(quick, found)
    assert [check.passed for check in checks] == [True] * 3
    for fewer in ({"n_seeds": 2}, {"steps": 5_000}):
        assert experiment.published_checks(replace(quick, **fewer), found) == []
