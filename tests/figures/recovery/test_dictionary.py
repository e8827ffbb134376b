"""Figures of toy dictionaries, of the MMCS grid and of decomposition targets."""

import numpy as np

from figures.later_toy_models import decomposition_targets
from figures.phenomena import full_dictionaries, mmcs_grid, toy_dictionaries
from figures.recovery import dictionary_families, dictionary_frontier

R = np.random.default_rng(0)
CONDITIONS = ["penalty 0.2, no resampling", "penalty 0.2, with resampling"]
TOY = {
    "metrics": {"conditions": CONDITIONS},
    "settings": {"every": 25, "steps": 100, "n_seeds": 3},
}
SILENT = np.zeros((2, 3, 5), bool)
SILENT[0, 1, 2] = True
TOY_ARRAYS = {
    "directions": R.normal(size=(5, 2)),
    "W_dec": R.normal(size=(2, 3, 5, 2)),
    "silent": SILENT,
    "full": np.array([[False, True, False], [True, True, False]]),
    "step": np.arange(10, 101, 10),
    "share": R.random((10, 2)),
    "share_low": np.zeros((10, 2)),
    "share_high": np.ones((10, 2)),
}
GRID = {"metrics": {"n_features": 8}}
GRID_ARRAYS = {
    "penalty": np.array([0.1, 1.0]),
    "size": np.array([4, 8, 16]),
    "mmcs": R.random((3, 2)),
    "dead": np.array([[0.0, 1.0], [0.0, 3.0], [7.0, 16.0]]),
    "missed": R.random((3, 2)),
    "larger": R.random((2, 2)),
}
TARGET_ARRAYS = {
    "5-2/W": R.normal(size=(5, 2)),
    "40-10/W": R.normal(size=(40, 10)),
    "5-2/responses": np.full((5, 5), 0.7),
    "40-10/responses": np.full((40, 40), 0.8),
}
ENDS = {
    "floor": {"mcc_dec": 0.3, "explained_variance": 0.1},
    "ceiling": {"mcc_dec": 1.0, "explained_variance": 1.0, "true_l0": 2.0},
}
FRONTIER = {
    "name": "dictionaries",
    "checks": [
        {"name": "c", "value": 1, "low": 0, "high": None, "passed": True, "source": ""}
    ],
    "seconds": {"total": 1.0},
    "device": "CPU",
    "metrics": {
        "worlds": ["easy", "hierarchy"],
        "families": {"a penalty": ["tied", "gated"], "pursuits": ["OMP"]},
        "easy": ENDS,
        "hierarchy": ENDS,
    },
}
FRONTIER_ARRAYS = {"targets": np.array([0.6, 1.0, 1.7])} | {
    f"{world}/{name}/{score}": R.random((3, 2)) + (score == "l0")
    for world in ("easy", "hierarchy")
    for name in ("tied", "gated", "OMP")
    for score in ("l0", "mcc_dec", "explained_variance")
}


class Family:
    """The figure of one family, as a module of figures."""

    @staticmethod
    def draw(record, arrays):
        return dictionary_families.draw(record, arrays, "a penalty")


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(toy_dictionaries, TOY, TOY_ARRAYS)
    check_figure(full_dictionaries, TOY, TOY_ARRAYS)
    check_figure(mmcs_grid, GRID, GRID_ARRAYS)
    check_figure(dictionary_frontier, FRONTIER, FRONTIER_ARRAYS)
    check_figure(Family, FRONTIER, FRONTIER_ARRAYS)
    check_figure(decomposition_targets, {}, TARGET_ARRAYS)


def test_dead_latents_are_drawn_dotted_and_full_dictionaries_named():
    figure = toy_dictionaries.draw(TOY, TOY_ARRAYS)
    panels = np.array(figure.axes).reshape(2, 3)
    dotted = [
        [sum(line.get_linestyle() == ":" for line in p.lines) for p in row]
        for row in panels
    ]
    assert dotted == [[0, 1, 0], [0, 0, 0]]
    named = [[p.get_title() == "full" for p in row] for row in panels]
    np.testing.assert_array_equal(named, TOY_ARRAYS["full"])


def test_every_cell_of_the_grid_says_its_value():
    figure = mmcs_grid.draw(GRID, GRID_ARRAYS)
    first, dead = figure.axes[0], figure.axes[2]
    said = [float(text.get_text()) for text in first.texts]
    np.testing.assert_allclose(said, GRID_ARRAYS["mmcs"].ravel(), atol=0.005)
    assert [text.get_text() for text in dead.texts] == ["0", "1", "0", "3", "7", "16"]


def test_the_best_variant_comes_first_and_its_point_is_the_median_at_the_true_l0():
    figure = dictionary_frontier.draw(FRONTIER, FRONTIER_ARRAYS)
    medians = {
        world: {
            name: np.median(FRONTIER_ARRAYS[f"{world}/{name}/mcc_dec"][1])
            for name in ("tied", "gated", "OMP")
        }
        for world in ("easy", "hierarchy")
    }
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    means = [np.mean([medians[world][name] for world in medians]) for name in names]
    assert means == sorted(means, reverse=True)
    assert sorted(names) == ["OMP", "gated", "tied"]
    for panel, world in zip(figure.axes, medians, strict=True):
        points = [line for line in panel.lines if line.get_marker() == "o"]
        drawn = {names[int(p.get_ydata()[0])]: float(p.get_xdata()[0]) for p in points}
        assert drawn == medians[world]


def test_a_variant_is_drawn_with_its_family_at_its_median_and_range():
    check = FRONTIER_ARRAYS["hierarchy/gated/mcc_dec"]
    figure = dictionary_families.draw(FRONTIER, FRONTIER_ARRAYS, "a penalty")
    panel = np.array(figure.axes).reshape(2, 2)[0, 1]
    assert panel.get_title() == "hierarchy"
    _, gated = panel.containers
    line, _, (bars,) = gated.lines
    order = np.argsort(np.median(FRONTIER_ARRAYS["hierarchy/gated/l0"], axis=1))
    np.testing.assert_allclose(line.get_ydata(), np.median(check, axis=1)[order])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.sort(check, axis=1)[order])


def test_the_page_shows_a_picture_of_every_family(tmp_path):
    page, *pictures = dictionary_families.write(FRONTIER, FRONTIER_ARRAYS, tmp_path / "all")
    assert all(path.exists() for path in (page, *pictures))
    text = page.read_text()
    assert [f'src="{path.name}"' in text for path in pictures] == [True, False] * 2
