"""Figures of the benchmark commands and of the tree."""

import numpy as np

from figures.phenomena import matryoshka_tree
from figures.synthsaebench import generalisation, overfitting, synthsaebench

R = np.random.default_rng(0)
VARIANTS = ["BatchTopK", "matching pursuit"]
SCORES = ("latent_f1", "mcc_dec", "explained_variance", "l0")
ROW = {name: float(R.random()) for name in SCORES}
CEILINGS = {"true directions": ROW, "hedged directions": ROW}
BENCH = {
    "settings": {"part": 1},
    "metrics": {
        "worlds": ["synthsaebench_v2"],
        "variants": VARIANTS,
        "floor": {"synthsaebench_v2": ROW},
        "ceilings": {"synthsaebench_v2": CEILINGS},
        "published": {"25": {"BatchTopK": [0.73, 0.76, 0.98, 0.79]}},
    },
}
BENCH_ARRAYS = {
    f"synthsaebench_v2/{name}/{mode}/{score}": R.random((2, 1)) + (score == "l0")
    for name in VARIANTS
    for mode in ("training", "exported")
    for score in SCORES
}
RANKS = {"metrics": {"worlds": ["synthsaebench_v2", "signed"], "variants": VARIANTS}}
RANK_ARRAYS = {
    f"{what}/{score}": np.array([[1.0, 2.0], [2.0, 1.0]])
    for what in ("rank", "score")
    for score in generalisation.PANELS
}
FIT = {
    "metrics": {
        "worlds": ["synthsaebench_v2", "crowded"],
        "variants": VARIANTS,
        "floor": {name: ROW for name in ("synthsaebench_v2", "crowded")},
        "ceilings": {name: CEILINGS for name in ("synthsaebench_v2", "crowded")},
    }
}
FIT_ARRAYS = {
    f"{world}/{name}/{score}": R.random(2)
    for world in ("synthsaebench_v2", "crowded")
    for name in VARIANTS
    for score in SCORES
}
TREE_ARRAYS = {
    "weight": np.array([0.0, 1.0, 2.0]),
    "cosine": R.uniform(-1, 1, (3, 3, 20, 20)),
    "parent_in_child": R.random((3, 3)),
    "score/mcc_dec": np.array([[0.9, 0.7, 0.8]] * 3),
    "score/absorption_mass": R.random((3, 3)),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(synthsaebench, BENCH, BENCH_ARRAYS)
    check_figure(generalisation, RANKS, RANK_ARRAYS)
    check_figure(overfitting, FIT, FIT_ARRAYS)
    check_figure(matryoshka_tree, {}, TREE_ARRAYS)


def test_published_scores_are_drawn_for_the_whole_benchmark_alone():
    def crosses(record):
        figure = synthsaebench.draw(record, BENCH_ARRAYS)
        return [
            float(line.get_ydata()[0])
            for panel in figure.axes
            for line in panel.lines
            if line.get_marker() == "x"
        ]

    assert crosses(BENCH) == [0.73, 0.76, 0.79]
    assert crosses(BENCH | {"settings": {"part": 8}}) == []


def test_the_tree_shows_the_median_seeds_without_and_with_levels():
    figure = matryoshka_tree.draw({}, TREE_ARRAYS)
    for panel, place in zip(figure.axes, (0, 2), strict=False):
        shown = panel.images[0].get_array()
        np.testing.assert_array_equal(shown, TREE_ARRAYS["cosine"][place, 2])


def test_every_rank_says_its_score():
    figure = generalisation.draw(RANKS, RANK_ARRAYS)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == ["1.00", "2.00", "2.00", "1.00"]
