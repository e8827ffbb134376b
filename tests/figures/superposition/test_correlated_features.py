"""Figures of paired features: labels, and the best seed where it belongs."""

import numpy as np
import pytest

from figures.superposition import correlated_features, pca_or_superposition

R = np.random.default_rng(1)


def paired_arrays(n_densities=2, n_seeds=3):
    arrays = {}
    for name, n_features in (("correlated", 4), ("anticorrelated", 4), ("three_pairs", 6)):
        arrays |= {
            f"{name}/density": np.array([0.1, 0.02])[:n_densities],
            f"{name}/W": R.normal(size=(n_densities, n_seeds, n_features, 2)),
            f"{name}/best": np.array([2, 0])[:n_densities],
            f"{name}/succeeds": R.random((n_densities, n_seeds)) < 0.5,
        }
    return arrays


MERGING = {
    "density": np.array([0.7, 0.5, 0.01]),
    "W": R.normal(size=(3, 4, 6, 2)),
    "best": np.array([1, 0, 3]),
    "collapsed": R.integers(0, 4, (3, 4)),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(correlated_features, {}, paired_arrays())
    check_figure(pca_or_superposition, {}, MERGING)


def test_panels_show_the_best_seed():
    arrays = paired_arrays()
    panel = correlated_features.draw({}, arrays).axes[1]
    ends = [line.get_xydata()[0] for line in panel.lines if len(line.get_xdata()) == 1]
    np.testing.assert_array_equal(ends, arrays["correlated/W"][1, 0])


def test_one_density_is_drawn_too():
    assert len(correlated_features.draw({}, paired_arrays(n_densities=1)).axes) == 6


@pytest.mark.parametrize(
    ("density", "count"),
    [
        (0.7, None),
        (0.5, 3),
        (0.25, 3),
        (0.22, None),
        (0.18, 2),
        (0.1, 1),
        (0.05, 0),
        (0.01, 0),
    ],
)
def test_published_regimes(density, count):
    assert pca_or_superposition.published_count(density) == count
