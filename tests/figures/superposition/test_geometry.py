"""The figures of sparsity, geometry, attacks and capacity draw made-up numbers."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from figures.later_toy_models import capacity
from figures.superposition import (
    adversarial_vulnerability,
    dimensions_per_feature,
    feature_geometry,
    hidden_penalty,
    nonlinear_compression,
    superposition_by_sparsity,
)

R = np.random.default_rng(0)
N_DENSITIES, N_FEATURES = 6, 9
COMPONENT = np.tile([0, 0, 0, 0, 0, 1, 1, 2, -1], (N_DENSITIES, 1))
NAMES = np.array(["pentagon", "digon", "own dimension", ""])
ARRAYS = {
    "inverse_density": np.geomspace(1, 100, N_DENSITIES),
    "W": R.normal(size=(N_DENSITIES, N_FEATURES, 4)),
    "dimensionality": R.random((N_DENSITIES, N_FEATURES)),
    "component": COMPONENT,
    "shape": NAMES[COMPONENT],
    "dimensions_per_feature": np.geomspace(1, 0.1, N_DENSITIES),
    "vulnerability": np.linspace(1, 20, N_DENSITIES),
}
SPARSITY = {"metrics": {"densities": [1.0, 0.1]}}
SPARSITY_ARRAYS = {
    f"{name}/{what}": array
    for name, n in (("20-5", 6), ("80-20", 9))
    for what, array in {
        "W": R.normal(size=(3, n, 2)),
        "superposition": R.random((3, n)),
    }.items()
}
LAWS = ("uniform", "half normal")
CAPACITY = {
    "metrics": {
        "densities": [1.0, 0.1],
        "kurtosis": {law: [2.0, 20.0] for law in LAWS},
        "shared": {law: [0.1, 0.6] for law in LAWS},
    }
}
CAPACITY_ARRAYS = {f"capacity/{law}": R.random((2, 4, 5)) for law in LAWS} | {
    "W": R.normal(size=(5, 2)),
    "block": np.array([0, 1, 0, -1, 0]),
    "density": np.array(0.1),
}
COMPRESSION = {"metrics": {"linear_loss": 0.08, "shown_steps": 3, "shown_ramp": 0.1}}
COMPRESSION_ARRAYS = {
    "loss": R.random((2, 3)),
    "steps": np.array([1, 2, 3]),
    "ramps": np.array([0.1, 0.2]),
    "code": R.random((5, 5)),
    "error": R.random((5, 5)),
}
PENALTY = {"metrics": {"n_hidden": 2}}
PENALTY_ARRAYS = {
    "penalty": np.array([0.0, 0.1, 0.2]),
    "norm": R.random((3, 6)),
    "norm_alone": R.random((3, 6)),
    "superposition": R.random((3, 6)),
    "error": R.random(3),
    "error_alone": R.random(3),
}
CASES = {
    "superposition_by_sparsity": (superposition_by_sparsity, SPARSITY, SPARSITY_ARRAYS),
    "dimensions_per_feature": (dimensions_per_feature, {}, ARRAYS),
    "feature_geometry": (feature_geometry, {}, ARRAYS),
    "adversarial_vulnerability": (adversarial_vulnerability, {}, ARRAYS),
    "capacity": (capacity, CAPACITY, CAPACITY_ARRAYS),
    "hidden_penalty": (hidden_penalty, PENALTY, PENALTY_ARRAYS),
    "nonlinear_compression": (nonlinear_compression, COMPRESSION, COMPRESSION_ARRAYS),
}


@pytest.mark.parametrize(("module", "record", "arrays"), CASES.values(), ids=CASES.keys())
def test_labels_titles_and_the_same_bytes_twice(module, record, arrays, check_figure):
    check_figure(module, record, arrays)


def test_every_product_is_drawn_where_it_belongs():
    figure = superposition_by_sparsity.draw(SPARSITY, SPARSITY_ARRAYS)
    W = SPARSITY_ARRAYS["80-20/W"][1]
    image = figure.axes[7].images[0]
    np.testing.assert_allclose(np.asarray(image.get_array()), W @ W.T)


def test_blocks_are_sorted_and_features_that_are_not_held_come_last():
    figure = capacity.draw(CAPACITY, CAPACITY_ARRAYS)
    panel = figure.axes[2]
    assert [label.get_text() for label in panel.get_xticklabels()] == list("02413")
    assert [r.get_width() for r in panel.patches if isinstance(r, Rectangle)] == [3, 1]
    rows = CAPACITY_ARRAYS["W"][[0, 2, 4, 1, 3]]
    np.testing.assert_allclose(np.asarray(panel.images[0].get_array()), rows @ rows.T)


def test_every_held_feature_is_a_point_of_its_graph():
    figure = feature_geometry.draw({}, ARRAYS)
    points = sum(np.size(line.get_xdata()) for line in figure.axes[1].lines)
    assert points == (COMPONENT[0] >= 0).sum()


def test_the_components_of_a_graph_do_not_overlap():
    """A pentagon's corners lie at its radius; no two components come closer."""
    sizes = [5, 5, 2, 2, 1]
    centers = feature_geometry.packed(sizes)
    for i, a in enumerate(centers):
        for j, b in enumerate(centers[:i]):
            reach = feature_geometry.radius(sizes[i]) + feature_geometry.radius(sizes[j])
            assert np.linalg.norm(a - b) > reach
