"""The rows that double_descent trains on, and what its checks refuse."""

import jax
import numpy as np

from experiments.later_toy_models import double_descent
from experiments.later_toy_models.double_descent import Settings
from synthetic import random
from toymodels.superposition import dataset

SMALL = Settings(n_features=40, density=0.02)


def test_rows_have_norm_one_or_are_empty():
    rows = double_descent.draw_rows(random.key(1), 300, SMALL)
    norm = np.linalg.norm(np.asarray(rows.by_row.value), axis=1)
    empty = norm == 0
    np.testing.assert_allclose(norm[~empty], 1, rtol=1e-5)
    assert 0.3 < empty.mean() < 0.6  # 0.98^40 = 0.45
    assert rows.n_rows == 300


def test_more_rows_than_are_drawn_at_once(monkeypatch):
    monkeypatch.setattr(double_descent, "ROWS_AT_ONCE", 8)
    rows = double_descent.draw_rows(random.key(1), 20, SMALL)
    values = np.asarray(rows.by_row.value)
    assert values[16:].any()
    assert not np.array_equal(values[:4], values[8:12])


def test_the_best_seed_is_kept():
    data = double_descent.draw_rows(random.key(2), 6, SMALL)
    model = double_descent.superposition.Bottleneck(40, 2)
    params = jax.vmap(model.init)(jax.random.split(random.key(3), 3))
    found = double_descent.examine(params, data, data)
    best = int(found["train_loss"].argmin())
    np.testing.assert_array_equal(found["W"], params.W[best])
    np.testing.assert_allclose(
        found["train_loss"][best],
        dataset.loss(jax.tree.map(lambda x: x[best], params), data),
        rtol=1e-5,
    )


def numbers(**changed):
    metrics = {
        "T": [5, 300, 1000, 2000],
        "test_loss": [1.0, 12.0, 0.99, 0.985],
        "mean_data_dimensionality": [0.4, 0.006, 0.002, 0.001],
        "n_features_learned": [0, 0, 5, 5],
    }
    arrays = {"data_dimensionality/5": np.full(5, 0.4), "W": np.zeros((4, 1000, 2))}
    checks = double_descent.make_checks(metrics | changed, arrays)
    return {check.name: check.passed for check in checks}


def test_published_numbers_pass_and_others_fail():
    assert all(numbers().values())
    assert not numbers(test_loss=[1.0, 1.2, 0.99, 0.985])["peak of the test loss"]
    assert not numbers(n_features_learned=[0, 0, 4, 5])["features learned from 1,000 rows"]
    assert not numbers(test_loss=[1.1, 12.0, 0.99, 0.985])["test loss of 5 rows"]


def test_sizes_that_were_not_run_are_not_checked():
    few = numbers(T=[7, 8, 9, 10])
    assert set(few) == {"smallest sum of D, up to 100 rows"}
