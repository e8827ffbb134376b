"""What is read off maze players: checks that notice failure, and runs of a few steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import dictionaries, embeddings, shift
from experiments.maze import heads as maze_heads
from experiments.maze.dictionaries import MODELS
from synthetic import Stored, random
from synthetic.maze import holdout
from toymodels import pretrained
from toymodels.maze import presets


def failed(checks):
    return [check.name for check in checks if not check.passed]


@pytest.fixture
def player(monkeypatch):
    """An untrained tiny player in the place of every shipped one."""
    preset = presets.tiny()
    found = pretrained.Pretrained(preset, preset.init(random.key(190)), {})
    monkeypatch.setattr(pretrained, "load", lambda name: found)


def test_embeddings_must_be_beyond_chance_and_as_published():
    def measured(trained):
        return {"agreement": {"trained": trained, "control": 0.0}, "shuffled_99": 0.3}

    assert failed(embeddings.make_checks(measured(0.4))) == []
    assert len(failed(embeddings.make_checks(measured(0.35)))) == 1
    assert len(failed(embeddings.make_checks(measured(0.2)))) == 2


def test_embeddings_give_a_whole_record(player, tmp_path):
    settings = embeddings.Settings(n_shuffles=10)
    result = embeddings.run(settings, 101, Job(tmp_path, "test"))
    assert (
        result.arrays["lattice"].shape == result.arrays["trained/distance"].shape == (36,)
    )
    assert result.arrays["shuffled"].shape == (10,)
    assert result.arrays["plane"].shape == (9, 2)


def heads(**changed):
    return {
        "null": 0.02,
        "score": 0.2,
        "control_score": 0.02,
        "lost_strongest": 0.1,
        "lost_others": 0.02,
    } | changed


def test_heads_must_look_along_connections_and_be_missed():
    assert failed(maze_heads.make_checks(heads())) == []
    assert len(failed(maze_heads.make_checks(heads(score=0.1)))) == 1
    assert len(failed(maze_heads.make_checks(heads(control_score=0.1)))) == 1
    assert len(failed(maze_heads.make_checks(heads(lost_strongest=0.0)))) == 1


@pytest.mark.slow
def test_heads_give_a_whole_record(player, tmp_path):
    result = maze_heads.run(maze_heads.Settings(n_mazes=32), 102, Job(tmp_path, "test"))
    assert (
        result.arrays["trained/score"].shape == result.arrays["lost/best"].shape == (2, 4)
    )
    # Attention starts nearly uniform.
    null = result.metrics["null"]
    np.testing.assert_allclose(result.arrays["control/score"], null, atol=0.005)
    assert len(result.table) == 2 + 8


def found(**changed):
    f1 = dict(zip(MODELS, (0.9, 0.3, 0.35), strict=True)) | changed
    return {
        "words": (0.35, 0.34, 0.36),
        "scores": {
            name: {"best": 0, "rows": [{"f1": (value, value - 0.02, value + 0.02)}]}
            for name, value in f1.items()
        },
    }


def test_dictionaries_must_reach_the_goal_and_controls_must_not():
    assert failed(dictionaries.make_checks(found())) == []
    assert len(failed(dictionaries.make_checks(found(trained=0.8)))) == 1
    assert len(failed(dictionaries.make_checks(found(trained=0.32)))) == 2
    # A control that misses the goal may know the words at b, but no more.
    before = {"before training": 0.5}
    assert len(failed(dictionaries.make_checks(found(**before)))) == 2
    words = {"words": (0.49, 0.485, 0.495)}
    assert len(failed(dictionaries.make_checks(found(**before) | words))) == 1


def rows(key, n=640):
    """Two connections and one slot in three without any, written along two axes."""
    which = jax.random.randint(random.key(key), (n,), 0, 3)
    connection = which[:, None] == jnp.arange(2)
    return Stored(jnp.pad(connection, ((0, 0), (0, 2))).astype(float), connection)


def test_latents_that_are_the_connections_score_1():
    samples = [(rows(191), rows(192))]
    train, test = samples[0]
    codes = [(train.features.astype(float), test.features.astype(float))]
    settings = dictionaries.Settings(ks=(1.0,), n_mazes=320)  # of two slots
    scores, by_connection = dictionaries.scored(random.key(193), samples, codes, settings)
    assert scores["rows"][0]["f1"] == scores["rows"][0]["corrected"] == (1, 1, 1)
    assert scores["rows"][0]["above"] == scores["rows"][0]["alive"] == 1
    assert scores["probes"] == [1]
    assert scores["boards"]["corrected"] == (1, 1, 1)
    np.testing.assert_array_equal(by_connection, [1, 1])


def test_the_best_dictionary_is_chosen_on_training_mazes():
    """One that is right in training alone is chosen over one that is right elsewhere."""
    train, test = rows(194), rows(195)
    right = [part.features.astype(float) for part in (train, test)]
    wrong = [jnp.ones_like(part) for part in right]
    codes = [(wrong[0], right[1]), (right[0], wrong[1])]
    settings = dictionaries.Settings(ks=(1.0, 2.0), n_mazes=320)
    scores, _ = dictionaries.scored(random.key(196), [(train, test)], codes, settings)
    assert scores["best"] == 1
    # Always on, a third of the rows: F1 = 2 / (1 + 3).
    assert scores["rows"][1]["f1"][0] == pytest.approx(0.5, abs=0.03)
    # Every maze is claimed to have both; 1 - (2 / 3)^2 of them do.
    assert scores["boards"]["f1"][0] == pytest.approx(2 * 5 / 9 / (1 + 5 / 9), abs=0.04)


@pytest.mark.slow
def test_dictionaries_give_a_whole_record(player, tmp_path):
    settings = dictionaries.Settings(steps=4, n_mazes=40, ks=(1.0,))
    result = dictionaries.run(settings, 103, Job(tmp_path, "test"))
    assert result.arrays["trained/f1"].shape == (4, 3)
    assert result.arrays["Gaussian weights/by_connection"].shape == (12,)
    assert len(result.table) == 1 + 4 + 1 + 1 + 1 + 4


def test_no_test_of_a_shift_is_an_echo_of_training():
    """Whatever law draws them, held-out mazes are in no training set."""
    draw = jax.jit(lambda law, key: law.draw(key, 300))
    shown = [
        np.asarray(draw(shift.game(name, 3).law, random.key(197 + i)))
        for i, name in enumerate(shift.LAWS)
    ]
    for i, name in enumerate(shift.TESTS):
        game = shift.held_out(name, 3)
        assert game.layout == shift.game("Kruskal", 3).layout
        unseen = np.asarray(draw(game.law, random.key(210 + i)))
        assert not any(holdout.is_shared(unseen, part).any() for part in shown)


@pytest.mark.slow
def test_a_shift_gives_a_whole_record(tmp_path):
    settings = shift.Settings(trained_on=("corridors",), steps=2, n_mazes=8)
    result = shift.run(settings, 104, Job(tmp_path, "test"))
    assert result.arrays["exact"].shape == (1, 5)
    assert result.checks == []  # two steps are not asked for what a trained player does
    assert len(result.table) == 3
