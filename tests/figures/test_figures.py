"""Every figure draws from plain numbers alone, with labelled axes, the same each time."""

import numpy as np
import pytest

from figures import style
from figures.recovery import (
    cosine_matrix,
    recovery_frontier,
    seed_distributions,
    training_curves,
)
from figures.superposition import toy_geometry

R = np.random.default_rng(0)
VARIANTS = ["a", "b"]
SCORES = ("l0", "mcc_dec", "feature_f1", "explained_variance")
SHOWN = {"mcc_dec": 0.9, "l0": 2.0}
LEVELS = {score: 0.5 for score in SCORES} | {"true_l0": 2.5}
RECOVERY = {
    "metrics": {
        "variants": VARIANTS,
        "shown": {name: SHOWN for name in VARIANTS},
        "floor": LEVELS,
        "ceiling": LEVELS,
    }
}
RECOVERY_ARRAYS = {
    "model/step": np.arange(1, 4),
    "model/loss": R.random(3),
    "curve/step": np.arange(1, 6),
    **{f"curve/{name}": R.random((5, 3)) for name in VARIANTS},
    **{f"cosine/{name}": R.uniform(-1, 1, (6, 5)) for name in VARIANTS},
    **{
        f"score/{name}/{score}": R.random((4, 3)) + 1
        for name in VARIANTS
        for score in SCORES
    },
}
SEEDS = {"metrics": {"recipes": ["easy, x", "hard, y"], "floor": 0.3}}
SEEDS_ARRAYS = {"mcc_dec/easy, x": R.random(7), "mcc_dec/hard, y": R.random(7)}
TOY_ARRAYS = {
    "density": np.array([1.0, 0.1]),
    "best": np.array([2, 0]),
    "W": R.normal(size=(2, 3, 5, 2)),
    "importance": 0.9 ** np.arange(5),
}
CASES = {
    "cosine_matrix": (cosine_matrix, RECOVERY, RECOVERY_ARRAYS),
    "recovery_frontier": (recovery_frontier, RECOVERY, RECOVERY_ARRAYS),
    "training_curves": (training_curves, RECOVERY, RECOVERY_ARRAYS),
    "seed_distributions": (seed_distributions, SEEDS, SEEDS_ARRAYS),
    "toy_geometry": (toy_geometry, {"metrics": {}}, TOY_ARRAYS),
}


@pytest.mark.parametrize(("module", "record", "arrays"), CASES.values(), ids=CASES.keys())
def test_labels_titles_and_the_same_bytes_twice(module, record, arrays, check_figure):
    check_figure(module, record, arrays)


def test_the_matrix_shows_each_cosine_where_it_belongs():
    figure = cosine_matrix.draw(RECOVERY, RECOVERY_ARRAYS)
    for axes, name in zip(figure.axes, VARIANTS, strict=False):
        image = axes.images[0]
        np.testing.assert_array_equal(
            image.get_array(), RECOVERY_ARRAYS[f"cosine/{name}"].T
        )
        assert image.get_clim() == (-1, 1)


def test_the_toy_panels_show_the_best_seed():
    figure = toy_geometry.draw({"metrics": {}}, TOY_ARRAYS)
    panel = figure.axes[0]
    ends = np.array([line.get_xydata()[-1] for line in panel.lines[::2]])
    np.testing.assert_array_equal(ends, TOY_ARRAYS["W"][0, 2])


def test_shares_of_held_features_add_up():
    figure = toy_geometry.draw({"metrics": {}}, TOY_ARRAYS)
    bars = figure.axes[-1].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(2)


def test_a_colour_means_the_same_count_whichever_counts_occur():
    def colours(arrays):
        panel = toy_geometry.draw({"metrics": {}}, arrays).axes[-1]
        handles, labels = panel.get_legend_handles_labels()
        return {
            label: bars.patches[0].get_facecolor()
            for bars, label in zip(handles, labels, strict=True)
        }

    long = np.arange(5) < np.array([2, 3, 4, 5])[:, None]
    W = np.stack([long, 0 * long], axis=-1)[:, None]
    every = {"density": np.ones(4), "best": np.zeros(4, int), "W": W}
    some = {"density": np.ones(2), "best": np.zeros(2, int), "W": W[[0, 3]]}
    importance = {"importance": TOY_ARRAYS["importance"]}
    four, two = colours(every | importance), colours(some | importance)
    assert len(set(four.values())) == 4
    assert two == {name: four[name] for name in ("2 features held", "5 features held")}


def test_a_title_is_broken_to_the_width_of_its_part_and_a_short_one_is_left_alone(
    off_canvas,
):
    @style.styled
    def draw(width):
        figure = style.new(width, 4)
        above, below = figure.subfigures(2, 1)
        figure.suptitle("a few words that stand above the whole of a figure")
        above.suptitle("short")
        below.suptitle("one line\nand a second line that is a little longer than that")
        return figure

    def titles(figure):
        return [part.get_suptitle() for part in (figure, *figure.subfigs)]

    wide, narrow = draw(10), draw(2)
    assert titles(wide)[0].count("\n") == 0
    assert titles(narrow)[1] == "short"
    assert titles(narrow)[2].startswith("one line\n")
    for figure in (wide, narrow):
        assert not off_canvas(figure)
        assert [t.replace("\n", " ") for t in titles(figure)] == [
            t.replace("\n", " ") for t in titles(wide)
        ]
