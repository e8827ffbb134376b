"""Checks that notice failure, boards in the right places, and a run of a few steps."""

import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.othello import world_model
from experiments.othello.world_model import GOALS, Settings
from toymodels import pretrained


def measured(**changed):
    trained = {"squares": [0.69, 0.87], "legal_f1": [0.5, 0.92]}
    control = {"squares": [0.69, 0.71], "legal_f1": [0.5, 0.66]}
    metrics = {
        "final": {"illegal_top1": 0.015},
        "floor": 0.833,
        "scores": {"trained": trained, "control": control},
    }
    return metrics | changed


def failed(metrics, player="othello_tiny"):
    checks = world_model.make_checks(metrics, GOALS[player])
    return [check.name for check in checks if not check.passed]


def test_checks_pass_for_the_goals_and_fail_for_less():
    assert failed(measured()) == []
    near = {"squares": [0.69, 0.82], "legal_f1": [0.5, 0.66]}
    scores = measured()["scores"] | {"control": near}
    assert failed(measured(scores=scores)) == ["squares read: gained by training"]
    untrained = {"trained": measured()["scores"]["control"]}
    scores = measured()["scores"] | untrained
    names = failed(measured(scores=scores, floor=0.86, final={"illegal_top1": 0.1}))
    assert len(names) == 4


def test_the_goals_of_the_small_player_are_its_own():
    near = measured(floor=1.535, final={"illegal_top1": 0.016})
    names = ["illegal first choices", "squares read"]
    assert failed(near, "othello_small") == names
    read = {"squares": [0.7, 0.93], "legal_f1": [0.5, 0.92]}
    scores = measured()["scores"] | {"trained": read}
    reached = measured(floor=1.535, final={"illegal_top1": 0.014}, scores=scores)
    assert failed(reached, "othello_small") == []


def test_sites_are_named_in_order():
    names = world_model.site_names(5)
    assert names == ["embedding", "attention 1", "MLP 1", "attention 2", "MLP 2"]


@pytest.mark.slow
def test_a_few_steps_give_a_whole_record(tmp_path):
    settings = Settings(steps=4, n_sequences=256, n_rows=4_096, n_test=4_096, n_games=2)
    result = world_model.run(settings, 0, Job(tmp_path, "test"))
    true, decoded = result.arrays["boards/true"], result.arrays["boards/decoded"]
    assert true.shape == decoded.shape == (2, 11, 4, 4)
    # After the first move of every game: black played, white moves next.
    assert (
        np.array([(true[:, 0] == k).sum((1, 2)) for k in (0, 1, 2)]).T == [1, 4, 11]
    ).all()
    assert not result.arrays["boards/black"][:, 0].any()
    # A good part of a board can be read off the input even before training.
    assert 0.6 < (true == decoded).mean() < 0.95
    assert len(result.table) == 3 + 5 + 1
    # The player lies beside the record, with its card.
    kept = pretrained.load("othello_tiny", tmp_path)
    assert "--set steps=4 --seed 0" in kept.card["command"]
    assert kept.card["metrics"]["illegal_top1"] == result.metrics["final"]["illegal_top1"]
