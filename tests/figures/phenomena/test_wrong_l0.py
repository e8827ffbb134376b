"""Figures of dictionaries whose L0 is not the data's."""

import numpy as np

from figures.phenomena import wrong_l0, wrong_l0_fifty

R = np.random.default_rng(0)
CELLS = {
    "correlation": np.array([-0.4, 0.0, 0.4, 0.4, -0.4]),
    "k": np.array([1.8, 1.8, 1.8, 2.0, 2.0]),
    "published": np.array([-0.2, 0.0, np.nan, 0.0, 0.0]),
    "mixing": R.normal(size=(5, 2)) / 5,
    "cosine": R.uniform(-1, 1, size=(5, 2, 5, 5)),
}
SETTINGS = {"k": 1.8, "strengths": [-0.4, 0.4]}
KINDS = {
    "first": np.array([5.0, 9.0, 14.0, 20.0, 11.0, 2.0]),
    "k": np.array([5.0, 9.0, 5.0, 11.0, 11.0, 11.0]),
    "truth": np.array([True, True, False, False, False, False]),
    "step": np.array([10, 20]),
    "curve": R.random((2, 6, 2)),
}
NAMES = ("mcc_dec", "squared_error", "truth_at_k", "decoder_cosine", "projection")
KINDS |= {name: R.random((6, 2)) for name in (*NAMES, "first_feature")}
FIFTY = {"above": 9, "nth": 15, "high": 20, "low": 2, "ramp": 0.75, "steps": 20}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(wrong_l0, {"settings": SETTINGS}, CELLS)
    check_figure(wrong_l0_fifty, {"settings": FIFTY}, KINDS)


def test_the_cosines_shown_are_those_of_the_named_cells():
    figure = wrong_l0.draw({"settings": SETTINGS}, CELLS)
    for panel, cell in zip(figure.axes[2:], (2, 3), strict=True):
        said = [float(text.get_text()) for text in panel.texts]
        np.testing.assert_allclose(said, CELLS["cosine"][cell, 0].ravel(), atol=0.0051)


def test_three_ways_are_drawn_from_their_own_curves():
    way = wrong_l0_fifty.draw({"settings": FIFTY}, KINDS).axes[-1]
    means = {line.get_label(): line.get_ydata() for line in way.lines}
    for label, kind in (("k from 20 to 11", 3), ("k = 11", 4), ("k from 2 to 11", 5)):
        np.testing.assert_allclose(means[label], KINDS["curve"][:, kind].mean(1))
