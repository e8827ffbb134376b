"""Checks that notice failure, tokens of the right words, and a run of a few steps."""

import pytest

from experiments.harness.experiment import Job
from experiments.maze import world_model
from experiments.maze.world_model import Settings
from synthetic.maze import Kruskal, MazeGame
from toymodels import pretrained


def measured(trained=(0.625, 0.9), control=(0.625, 0.7), **changed):
    read = {"trained": list(trained), "control": list(control)}
    metrics = {
        "size": 4,
        "walks": {"exact": 0.9},
        "scores": {
            name: {
                "<ADJLIST_END>": {"connections": [0.6]},
                "<PATH_START>": {"connections": of},
            }
            for name, of in read.items()
        },
    }
    return metrics | changed


def failed(metrics):
    return [c.name for c in world_model.make_checks(metrics) if not c.passed]


def test_checks_pass_for_the_goals_and_fail_for_less():
    assert failed(measured()) == []
    assert failed(measured(walks={"exact": 0.84})) == ["exact paths"]
    assert failed(measured(trained=(0.625, 0.84))) == ["connections read"]
    # Five eighths of the connections of 4 x 4 cells are open.
    assert failed(measured(trained=(0.63, 0.9))) == ["read at the embedding"]
    gained = "connections read: gained by training"
    assert failed(measured(control=(0.625, 0.91))) == [gained]


def test_a_player_that_is_not_done_is_not_asked_for_its_goals():
    early = measured(walks={"exact": 0.7}, control=(0.625, 0.91))
    assert failed(early | {"finished": True}) == [
        "exact paths",
        "connections read: gained by training",
    ]
    assert failed(early | {"finished": False}) == []


def test_places_are_the_words_that_they_are_called():
    layout = MazeGame.of(Kruskal(3)).layout
    # <ADJLIST_START>, eight connections of four words, <ADJLIST_END>; then origin and
    # target, three words each, and <PATH_START>.
    assert world_model.places(layout) == {"<ADJLIST_END>": 33, "<PATH_START>": 40}


def test_the_best_place_and_site():
    found = world_model.best(measured()["scores"]["trained"])
    assert found == ("<PATH_START>", 1)


@pytest.mark.slow
def test_a_few_steps_give_a_whole_record(tmp_path):
    settings = Settings(steps=4, n_mazes=256, n_rows=4_096, n_test=4_096, n_drawn=2)
    result = world_model.run(settings, 100, Job(tmp_path, "test"))
    true, decoded = result.arrays["mazes/true"], result.arrays["mazes/decoded"]
    assert true.shape == decoded.shape == (2, 2, 3, 3)
    assert (true.sum((1, 2, 3)) == 8).all()  # trees
    assert (true == decoded).mean() > 0.5
    assert result.metrics["shared"] == 0
    assert len(result.table) == 3 + 5
    # The player lies beside the record, with its card.
    kept = pretrained.load("maze_tiny", tmp_path)
    assert "--set steps=4 --seed 100" in kept.card["command"]
    assert kept.card["metrics"]["exact"] == result.metrics["walks"]["exact"]
