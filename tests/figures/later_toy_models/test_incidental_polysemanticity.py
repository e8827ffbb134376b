import numpy as np

from figures.later_toy_models import incidental_polysemanticity

ARRAYS = {
    "hidden": np.array([8, 16]),
    "n_features": np.array(8),
    "count": np.array([[1, 3, 2], [1, 0, 2]]),
    "step": np.array([10, 20, 30]),
    "share_held": np.array([[0, 0.1], [0.5, 0.7], [1, 1]]),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(incidental_polysemanticity, {"metrics": {}}, ARRAYS)


def test_the_points_are_means_and_the_line_is_the_law():
    counts = incidental_polysemanticity.draw({"metrics": {}}, ARRAYS).axes[0]
    lines = {line.get_label(): line.get_xydata() for line in counts.lines}
    np.testing.assert_allclose(np.prod(np.asarray(lines["n² / 4m"]), axis=1), 16)
    np.testing.assert_array_equal(counts.lines[0].get_ydata(), [2, 1])
