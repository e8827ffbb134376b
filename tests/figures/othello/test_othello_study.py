import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, Rectangle

from figures import style
from figures.othello import (
    othello_dictionaries,
    othello_edits,
    othello_interventions,
    othello_latent,
    planted_directions,
)

R = np.random.default_rng(0)
LATENT = {
    "latent/z": np.concatenate([np.zeros(20), R.random(20)]),
    "latent/legal": R.random(40) < 0.5,
    "latent/boards": R.integers(0, 3, (8, 4, 4)),
    "latent/board_z": np.linspace(1, 0.1, 8),
    "latent/board_legal": np.array([True, False] * 4),
}
CARD = {"latent": 3, "move": "b1", "square": 1, "f1": 0.8, "threshold": 0.2}
VARIANTS = ["ReLU", "BatchTopK"]
PATHS = [*(f"trained/{name}" for name in VARIANTS), "random/BatchTopK"]
LONE = ["probes", "neurons", "permuted labels", "labels of another game"]


def scored(low=0.2, high=0.4):
    """[l0, seed, (value, low, high)]"""
    return np.tile([(low + high) / 2, low, high], (3, 2, 1))


DICTIONARIES = {
    **{f"{path}/l0": np.array([[16.0, 16], [4, 5], [8, 8]]) for path in PATHS + LONE},
    **{
        f"{path}/{score}/corrected": scored()
        for path in PATHS + LONE
        for score in ("squares", "legal", "board")
    },
}


def test_dictionaries_are_drawn_by_l0_between_their_references(check_figure):
    record = {"metrics": {"variants": VARIANTS, "latent": CARD}}
    check_figure(othello_dictionaries, record, DICTIONARIES)
    panel = othello_dictionaries.draw(record, DICTIONARIES).axes[0]
    for line in panel.lines:
        x = np.asarray(line.get_xdata())
        assert (np.diff(x) >= 0).all()
    labels = panel.get_legend_handles_labels()[1]
    assert {*VARIANTS, "linear probes", "an always-on latent"} <= set(labels)


def test_the_square_of_a_latent_is_framed_by_whether_it_is_legal(check_figure):
    record = {"metrics": {"variants": VARIANTS, "latent": CARD}}
    check_figure(othello_latent, record, LATENT)
    values, *boards = othello_latent.draw(record, LATENT).axes
    assert values.get_xlabel()
    assert len(boards) == 12  # eight with a board, in two rows of six
    for i, panel in enumerate(boards[:8]):
        frames = [p for p in panel.patches if isinstance(p, Rectangle)]
        assert [(int(p.get_x()), int(p.get_y())) for p in frames] == [(1, 0)]
        legal = LATENT["latent/board_legal"][i]
        expected = to_rgba(style.BLUE if legal else style.ORANGE)
        assert frames[0].get_edgecolor() == expected


EDITS = ("mean difference", "probe", "1 latent", "4 latents")
CONTROLS = ("another square", "random direction")
INTERVENTIONS = {
    f"{edit}/{score}": np.tile([0.5, 0.4, 0.6], (3, 1))
    for edit in EDITS + CONTROLS
    for score in ("kl", "errors", "changed")
}
INTERVENTIONS |= {
    f"probe, every site/{score}": np.array([0.3, 0.2, 0.4])
    for score in ("kl", "errors", "changed")
}
UNTOUCHED = {
    name: {score: [value, value, value] for score in ("kl", "errors", "changed")}
    for name, value in (("no edit", 1.0), ("true board", 0.1))
}


def test_edits_are_drawn_beside_a_player_left_alone(check_figure):
    INTERVENTIONS["1 latent/kl"][[0, 2]] = np.nan
    record = {
        "metrics": {"sites": ["embedding", "attention 1", "MLP 1"], "untouched": UNTOUCHED}
    }
    check_figure(othello_interventions, record, INTERVENTIONS)
    panel = othello_interventions.draw(record, INTERVENTIONS).axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    np.testing.assert_array_equal(lines["no edit"].get_ydata(), [1, 1])


def test_the_turned_disc_has_its_new_colour_and_moves_their_probability(check_figure):
    content = np.full((1, 4, 4), 2)
    content[0, 1, 2], content[0, 2, 2] = 0, 1
    moves = np.zeros((1, 4, 4))
    moves[0, 3, 2] = 1
    kinds = ("exact", "no edit", "probe", "4 latents")
    arrays = {"boards/square": np.array([6]), "boards/content": content}
    arrays |= {f"boards/{kind}": moves for kind in kinds}
    check_figure(othello_edits, {}, arrays)
    panel = othello_edits.draw({}, arrays).axes[0]
    discs = {
        (int(p.center[1]), int(p.center[0])): p.get_facecolor()[0]
        for p in panel.patches
        if isinstance(p, Circle)
    }
    assert discs == {(1, 2): 1, (2, 2): 1}  # mine, black, became theirs, white
    assert [text.get_text() for text in panel.texts] == ["100"]


PLAYERS = ("before training", "no planting", "weight 0.5", "weight 2")
PLANTED = {"weights": np.array([0.5, 2.0])}
for _player in PLAYERS:
    PLANTED[f"{_player}/regression"] = R.random(3)
    for _variant in VARIANTS:
        PLANTED[f"{_player}/{_variant}/mcc_dec"] = R.random(2)
        PLANTED[f"{_player}/{_variant}/cosine"] = R.random((2, 3))


def test_planted_directions_are_drawn_against_their_weight(check_figure):
    scores = {"excess": 0.1, "missed": 0.3, "leaked": 0.05}
    metrics = {
        "names": ["mine a1", "mine d1", "theirs a1"],
        "variants": VARIANTS,
        "players": dict.fromkeys(PLAYERS, scores),
        "floor": 0.3,
    }
    check_figure(planted_directions, {"metrics": metrics}, PLANTED)
    left, middle, _ = planted_directions.draw({"metrics": metrics}, PLANTED).axes
    lines = {line.get_label(): line for line in left.lines}
    best = max(PLANTED[f"no planting/{name}/mcc_dec"].mean() for name in VARIANTS)
    height = np.asarray(lines["best, no planting"].get_ydata())
    np.testing.assert_allclose(height, best)
    shown = np.asarray(middle.images[0].get_array())
    np.testing.assert_allclose(shown[:, -1], PLANTED["weight 2/regression"])
    np.testing.assert_allclose(shown[:, 0], PLANTED["weight 2/ReLU/cosine"].mean(axis=0))
