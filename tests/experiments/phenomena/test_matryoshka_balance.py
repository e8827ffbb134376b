"""The crossing, what is read from which matrix, and checks that notice."""

import numpy as np
import pytest

from experiments.phenomena import matryoshka_balance
from experiments.phenomena.matryoshka_balance import CHILDREN, EXPECTED


def test_the_crossing_by_hand():
    x = np.array([0.0, 0.1, 0.3, 1.0])
    assert matryoshka_balance.crossing(x, np.array([-3.0, -1, 1, 2])) == pytest.approx(0.2)
    assert matryoshka_balance.crossing(x, np.array([1.0, -1, -1, 3])) == pytest.approx(
        0.3 + 0.7 / 4
    )
    assert matryoshka_balance.crossing(x, np.array([1.0, 1, 2, 2])) is None


def published():
    """Arrays that hold the published numbers, and the identity elsewhere."""
    betas = np.array([0.0, 0.17, 0.25, 1.0])
    arrays = {"beta": betas}
    for name in CHILDREN:
        for part in ("encoder", "decoder"):
            arrays[f"{name}/{part}"] = np.tile(np.eye(4), (4, 2, 1, 1))
            arrays[f"{name}/detached/{part}"] = np.tile(np.eye(4), (2, 1, 1))
    for children, beta, whose, part, values in EXPECTED:
        where = arrays[f"{children}/{part}"]
        if beta == "detached":
            where = arrays[f"{children}/detached/{part}"][None]
            place = 0
        else:
            place = int(np.flatnonzero(betas == beta)[0])
        if whose == "parent":
            where[place, :, 0, 1:] = values
        else:
            where[place, :, 1:, 0] = values
    metrics = {
        "equal": {"balance": 0.24},
        "unequal": {"balance_of_child": [0.5, 0.17, 0.1]},
    }
    return arrays, metrics


def failed(arrays, metrics):
    checks = matryoshka_balance.make_checks(arrays, metrics)
    return [check.name for check in checks if not check.passed]


def test_the_published_tables_pass():
    arrays, metrics = published()
    assert failed(arrays, metrics) == []
    assert len(matryoshka_balance.make_checks(arrays, metrics)) == len(EXPECTED) + 2


def test_rows_and_columns_are_not_mixed_up():
    arrays, metrics = published()
    turned = arrays | {"equal/decoder": np.swapaxes(arrays["equal/decoder"], -1, -2)}
    found = failed(turned, metrics)
    assert "equal children, beta 0, parent's decoder: distance from the re-run" in found
    assert "equal children, beta 0, children's decoder: distance from the re-run" in found


def test_a_common_balance_of_unequal_children_or_none_fails():
    arrays, metrics = published()
    same = metrics | {"unequal": {"balance_of_child": [0.17, 0.17, 0.17]}}
    assert failed(arrays, same) == [
        "unequal children: beta of the rarest over that of the most frequent"
    ]
    never = metrics | {"unequal": {"balance_of_child": [None, 0.17, 0.1]}}
    assert failed(arrays, never) == failed(arrays, same)


def test_betas_that_were_not_trained_are_not_checked():
    arrays, metrics = published()
    arrays["beta"] = np.array([0.01, 0.18, 0.26, 0.9])
    names = [check.name for check in matryoshka_balance.make_checks(arrays, metrics)]
    assert all("beta" not in name.split(",")[1] for name in names if "re-run" in name)
