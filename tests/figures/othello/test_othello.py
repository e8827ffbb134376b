import numpy as np

from figures import style
from figures.othello import othello_boards, othello_probes

R = np.random.default_rng(0)
RECORD = {
    "metrics": {
        "floor": 0.83,
        "best_site": 1,
        "sites": ["embedding", "attention 1", "MLP 1"],
    }
}
PROBES = {
    "step": np.arange(1, 4),
    **{f"curve/{name}": R.random(3) for name in ("loss", "illegal_top1", "illegal_mass")},
    **{
        f"{name}/{score}": R.random(3)
        for name in ("trained", "control")
        for score in ("squares", "legal_f1")
    },
    "moves/squares": np.array([0.7]),
    "moves/legal_f1": np.array([0.5]),
}
BOARDS = {
    "boards/true": R.integers(0, 3, (2, 3, 4, 4)),
    "boards/decoded": R.integers(0, 3, (2, 3, 4, 4)),
    "boards/black": np.array([[True, False, True], [False, True, False]]),
    "boards/running": np.array([[True, True, False], [True, True, True]]),
}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    check_figure(othello_probes, RECORD, PROBES)
    check_figure(othello_boards, RECORD, BOARDS)


def test_discs_and_differences_are_where_they_belong():
    figure = othello_boards.draw(RECORD, BOARDS)
    assert len(figure.axes) == 9  # the longer game has three positions
    true, decoded = BOARDS["boards/true"][1, 0], BOARDS["boards/decoded"][1, 0]
    discs = {
        (int(p.center[1]), int(p.center[0])): p.get_facecolor()[0] < 0.5
        for p in figure.axes[0].patches
    }
    # White moves, so that "mine" is white.
    expected = {(r, c): true[r, c] == 1 for r, c in np.argwhere(true < 2)}
    assert discs == expected
    wrong = {(int(p.get_y()), int(p.get_x())) for p in figure.axes[6].patches}
    assert wrong == {tuple(place) for place in np.argwhere(true != decoded).tolist()}


def test_of_a_long_game_eleven_moves_are_drawn():
    long = {
        "boards/true": R.integers(0, 3, (1, 31, 6, 6)),
        "boards/decoded": R.integers(0, 3, (1, 31, 6, 6)),
        "boards/black": np.ones((1, 31), bool),
        "boards/running": np.ones((1, 31), bool),
    }
    figure = othello_boards.draw(RECORD, long)
    titles = [panel.get_title() for panel in figure.axes[:11]]
    assert titles == [f"move {t}" for t in range(1, 32, 3)]
    right = (long["boards/true"] == long["boards/decoded"]).mean()
    assert f"{right:.0%} of this game's squares" in figure.get_suptitle()


def test_the_control_is_drawn_beside_the_trained_model():
    panel = othello_probes.draw(RECORD, PROBES).axes[2]
    lines = {line.get_label(): line for line in panel.lines}
    for name in ("trained", "control"):
        line = lines[f"squares read right, {name}"]
        np.testing.assert_array_equal(line.get_ydata(), PROBES[f"{name}/squares"])
        assert line.get_color() == style.BLUE
