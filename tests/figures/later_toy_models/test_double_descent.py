import numpy as np

from figures.later_toy_models import double_descent

R = np.random.default_rng(0)
T = [3, 40]
ARRAYS = {
    "T": np.array(T),
    "best": np.array([1, 0]),
    "W": R.normal(size=(2, 6, 2)),
    "train_loss": R.random((2, 2)) + 0.1,
    "test_loss": R.random((2, 2)) + 1,
    "feature_dimensionality": R.random((2, 6)),
    **{f"hidden/{t}": R.normal(size=(t, 2)) for t in T},
    **{f"data_dimensionality/{t}": R.random(t) for t in T},
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(double_descent, {"metrics": {}}, ARRAYS)


def test_the_lines_show_the_best_seeds():
    losses = double_descent.draw({"metrics": {}}, ARRAYS).axes[-1]
    lines = {line.get_label(): line.get_ydata() for line in losses.lines}
    expected = ARRAYS["test_loss"][[0, 1], [1, 0]]
    np.testing.assert_array_equal(lines["test, best seed"], expected)
