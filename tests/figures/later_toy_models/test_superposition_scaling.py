import numpy as np
import pytest

from figures.later_toy_models import superposition_scaling

R = np.random.default_rng(0)
ARRAYS = {
    "hidden": np.array([4, 8, 16]),
    "alpha": np.array([0.0, 1.0]),
    "decay": np.array([-1.0, 0.2, 0.6]),
    "loss": R.random((3, 3, 2)) + 0.1,
    "eq4": R.random((3, 3, 2)) + 0.1,
    "ideal": R.random((3, 2)) + 0.1,
    "represented": np.array([[[9, 30]] * 3, [[1, 5]] * 3, [[2, 0], [4, 6], [8, 8]]]),
}
RECORD = {"metrics": {}}


def lines(panel):
    figure = superposition_scaling.draw(RECORD, ARRAYS)
    return {line.get_label(): line.get_ydata() for line in figure.axes[panel].lines}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(superposition_scaling, RECORD, ARRAYS)


def test_losses_are_those_of_the_strongest_growth_and_of_the_strongest_decay():
    np.testing.assert_array_equal(lines(0)["1"], ARRAYS["loss"][0, :, 1])
    weak = lines(1)
    np.testing.assert_array_equal(weak["1"], ARRAYS["loss"][2, :, 1])
    np.testing.assert_array_equal(weak["all but m features"], ARRAYS["ideal"][:, 0])


def test_features_kept_leave_a_gap_where_there_are_none():
    np.testing.assert_array_equal(lines(2)["0.6"], [np.nan, 6, 8])


def test_only_positive_decays_are_set_against_equation_4():
    assert set(lines(3)) == {"0.2", "0.6", "equal"}


@pytest.mark.parametrize(("place", "said"), [(0, "grow to norm 1"), (2, "shrink")])
def test_one_decay_alone_is_called_what_it_is(place, said):
    per_decay = ("decay", "loss", "eq4", "represented")
    one = ARRAYS | {name: ARRAYS[name][place : place + 1] for name in per_decay}
    for panel in superposition_scaling.draw(RECORD, one).axes[:2]:
        assert said in panel.get_title()
