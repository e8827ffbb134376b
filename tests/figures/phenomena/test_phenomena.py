"""Figures of hedging, absorption, their balance, consistency, shrinkage and composition."""

import numpy as np

from figures.phenomena import (
    absorption,
    composed_features,
    hedging,
    matryoshka_balance,
    seed_consistency,
    shrinkage,
)

R = np.random.default_rng(0)


def rows(*shape):
    """Unit vectors in the plane."""
    angle = R.uniform(0, 2 * np.pi, shape)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


HEDGING = {
    "metrics": {"cases": ["independent", "hierarchy"], "published": [None, [0.2, 0.3]]}
}
HEDGING_ARRAYS = {
    "cosine": rows(2, 3),
    "exact": rows(2),
    "second": rows(2),
    "chance": np.array([0.2, 0.5]),
    "curve": rows(2, 2),
    "fine_chance": np.linspace(0, 1, 5),
    "fine": rows(2, 5),
}
ABSORPTION = {
    "metrics": {
        "cases": ["hierarchy", "no penalty"],
        "gap": [1.0, 0.0],
        "mass": [1.0, 0.1],
    }
}
ABSORPTION_ARRAYS = {
    "decoder": R.normal(size=(2, 3, 2, 2)),
    "encoder": R.normal(size=(2, 3, 2, 2)),
    "alone": np.array([0.01, 0.1]),
    "fine": np.array([0.01, 0.03, 0.1]),
    "penalty": np.array([0.01, 0.1]),
    "angle": R.random((2, 2)),
    "curve": R.random((2, 3)),
}
BALANCE = {
    "metrics": {
        "equal": {"balance": 0.2},
        "given": {"unequal": [0.02, 0.15, 0.5]},
    }
}
BALANCE_ARRAYS = {"beta": np.array([0.0, 0.25, 1.0])} | {
    f"{children}/{part}": R.uniform(-1, 1, size)
    for children in ("equal", "unequal")
    for part, size in (
        ("encoder", (3, 2, 4, 4)),
        ("decoder", (3, 2, 4, 4)),
        ("detached/encoder", (2, 4, 4)),
        ("detached/decoder", (2, 4, 4)),
    )
}
KINDS = ["ReLU, as published", "TopK"]
CONSISTENCY = {
    "metrics": {"kinds": KINDS, "floor": 0.45, **{k: {"pw_mcc": 0.7} for k in KINDS}}
}
CONSISTENCY_ARRAYS = {"step": np.array([10, 20, 30])} | {
    f"{kind}/{name}": values
    for kind in KINDS
    for name, values in (
        ("agreement", R.uniform(0.5, 1, 3)),
        ("truth", R.uniform(0.5, 1, (3, 2))),
        ("pairwise", np.array([[1, 0.7], [0.7, 1]])),
    )
}
SHRINKAGE = {"metrics": {"topk": {"slope": 1.0}}}
SHRINKAGE_ARRAYS = {
    "value": np.array([0.5, 1.0]),
    "lone_penalty": np.array([0.1, 0.4]),
    "code": R.random((2, 2, 2)),
    "fine_value": np.linspace(0, 1, 5),
    "fine_code": R.random((2, 5, 2)),
    "penalty": np.array([0.1, 0.5]),
    "alone": np.array([0.9, 0.7]),
    **{name: R.random((2, 3)) for name in ("slope", "norm_ratio", "mcc_dec")},
}
COMPOSED = {
    "metrics": {
        "laws": ["equal values", "independent values"],
        "penalties": [0.1],
        "threshold": [0.586, 0.216],
    }
}
COMPOSED_ARRAYS = {
    "one_hot": np.array([0.0, 0.5, 1.0]),
    "W_dec": rows(2, 1, 3, 2, 4),
    "true": R.random((2, 1, 3, 2)) < 0.5,
    "composed": R.random((2, 1, 3, 2)) < 0.5,
    "fine": np.linspace(0, 1, 5),
    "predicted": R.random((2, 5)),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(hedging, HEDGING, HEDGING_ARRAYS)
    check_figure(absorption, ABSORPTION, ABSORPTION_ARRAYS)
    check_figure(matryoshka_balance, BALANCE, BALANCE_ARRAYS)
    check_figure(seed_consistency, CONSISTENCY, CONSISTENCY_ARRAYS)
    check_figure(shrinkage, SHRINKAGE, SHRINKAGE_ARRAYS)
    check_figure(composed_features, COMPOSED, COMPOSED_ARRAYS)


def test_hedging_shows_every_seed_in_the_row_of_its_case():
    left = hedging.draw(HEDGING, HEDGING_ARRAYS).axes[0]
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert len(dots) == 2
    for row, line in enumerate(dots):
        np.testing.assert_array_equal(line.get_xdata(), HEDGING_ARRAYS["cosine"][row, :, 1])
        np.testing.assert_allclose(line.get_ydata(), row, atol=0.3)


def test_matrices_say_what_they_hold():
    figure = matryoshka_balance.draw(BALANCE, BALANCE_ARRAYS)
    decoder = figure.axes[0]
    assert decoder.get_title() == "beta = 0"
    said = [float(text.get_text()) for text in decoder.texts]
    expected = BALANCE_ARRAYS["equal/decoder"][0].mean(axis=0).ravel()
    np.testing.assert_allclose(said, expected, atol=0.005)


def test_a_balance_that_was_not_found_is_not_drawn():
    record = {"metrics": BALANCE["metrics"] | {"equal": {"balance": None}}}
    with_it = matryoshka_balance.draw(BALANCE, BALANCE_ARRAYS).axes
    without = matryoshka_balance.draw(record, BALANCE_ARRAYS).axes
    named = [
        sum("balance" in text.get_text() for axes in found for text in axes.texts)
        for found in (with_it, without)
    ]
    assert named == [1, 0]


def test_shares_are_means_over_seeds():
    figure = composed_features.draw(COMPOSED, COMPOSED_ARRAYS)
    chart = figure.axes[-2]
    drawn = {line.get_label(): line.get_ydata() for line in chart.lines}
    expected = COMPOSED_ARRAYS["true"][0, 0].mean(axis=-1)
    np.testing.assert_array_equal(drawn["true, penalty 0.1"], expected)
