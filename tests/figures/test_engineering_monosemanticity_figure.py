import numpy as np

from figures import engineering_monosemanticity

R = np.random.default_rng(0)
ARRAYS = {
    "learning_rate": np.array([0.001, 0.01]),
    "loss": R.random((2, 2, 3)),
    "share": R.random((2, 2, 3)),
    "purity": R.random((2, 2, 3, 8)),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(engineering_monosemanticity, {"metrics": {}}, ARRAYS)


def test_the_lines_are_means_over_seeds():
    losses = engineering_monosemanticity.draw({"metrics": {}}, ARRAYS).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in losses.lines}
    np.testing.assert_array_equal(lines["biases start at 0"], ARRAYS["loss"][0].mean(-1))
