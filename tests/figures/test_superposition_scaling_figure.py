import numpy as np

from figures import superposition_scaling

R = np.random.default_rng(0)
ARRAYS = {
    "hidden": np.array([4, 8, 16]),
    "alpha": np.array([0.0, 1.0]),
    "loss": R.random((2, 3, 2)) + 0.1,
    "left_out": R.random((3, 2)) + 0.1,
}
RECORD = {"metrics": {"slope": {"strong": [-1.0, -1.1], "weak": [-0.1, -0.9]}}}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(superposition_scaling, RECORD, ARRAYS)


def test_the_slopes_are_those_of_the_record():
    slopes = superposition_scaling.draw(RECORD, ARRAYS).axes[2]
    lines = {line.get_label(): line.get_ydata() for line in slopes.lines}
    np.testing.assert_array_equal(lines["strong"], [-1.0, -1.1])
    np.testing.assert_array_equal(lines["weak"], [-0.1, -0.9])
