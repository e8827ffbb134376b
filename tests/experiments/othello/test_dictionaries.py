"""Checks that notice failure, scores of codes that are known, and a run of a few steps."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.othello import contenders, dictionaries
from experiments.othello.contenders import Positions
from experiments.othello.dictionaries import SCORES, Settings
from synthetic import random

R = np.random.default_rng(0)


def rows(value, n=2):
    return {
        f"{score}/corrected": np.tile([value, value - 0.01, value + 0.01], (n, 2, 1))
        for score in SCORES
    } | {"l0": np.full((n, 2), 8.0)}


def arrays(**changed):
    found = {
        "trained/BatchTopK": 0.4,
        "trained/ReLU": 0.3,
        "random/BatchTopK": 0.1,
        "permuted labels": -0.1,
        "always on": 0.0,
        "probes": 0.8,
    } | changed
    return {f"{p}/{k}": v for p, value in found.items() for k, v in rows(value).items()}


def failed(found):
    return [c.name for c in dictionaries.make_checks(found) if not c.passed]


def test_checks_pass_for_the_goals_and_fail_for_less():
    assert failed(arrays()) == []
    assert len(failed(arrays(**{"random/BatchTopK": 0.39}))) == 1
    assert len(failed(arrays(**{"permuted labels": 0.05}))) == 1
    assert len(failed(arrays(probes=0.35))) == 1


def positions(n=640):
    """Boards of four squares at random; legal where empty, half of the time."""
    content = R.integers(0, 3, (n, 4))
    board = [content == i for i in range(3)]
    legal = board[2] & (R.random((n, 4)) < 0.5)
    properties = jnp.asarray(np.concatenate([*board, legal], axis=1))
    return Positions(properties.astype(jnp.float32), jnp.zeros((n, 1)), properties)


def test_latents_that_are_the_labels_score_1_and_wrong_labels_do_not():
    train, test = positions(), positions()
    labels = (train.properties, test.properties)
    perfect = contenders.scores(random.key(1), (train.x, test.x), labels)
    for score in SCORES:
        assert perfect[f"{score}/corrected"] == (1, 1, 1)
        assert perfect[f"{score}/published"] == 1
    assert perfect["alive"] == 1
    # Four squares have one content each, and a sixth are legal.
    assert perfect["l0"] == pytest.approx(4 * (1 + 1 / 6), abs=0.2)
    for wrong in contenders.WRONG_LABELS.values():
        labels = (wrong(train).properties, wrong(test).properties)
        found = contenders.scores(random.key(2), (train.x, test.x), labels)
        for score in ("squares", "legal"):
            assert found[f"{score}/corrected"][0] < 0.02


@pytest.mark.slow
def test_a_few_steps_give_a_whole_record(tmp_path):
    settings = Settings(
        variants=("ReLU", "BatchTopK"), l0s=(4.0, 8.0), n_latents=32, steps=8, n_rows=2_200
    )
    result = dictionaries.run(settings, 100, Job(tmp_path, "test"))
    assert result.arrays["trained/ReLU/squares/corrected"].shape == (2, 2, 3)
    assert result.arrays["always on/legal/corrected"][0, 0, 0] == pytest.approx(0)
    names = {path.split("/")[0] for path in result.arrays if path.endswith("/l0")}
    assert names == {
        "trained",
        "random",
        "probes",
        "neurons",
        "always on",
        "permuted labels",
        "labels of another game",
    }
    assert result.arrays["latent/boards"].shape == (12, 4, 4)
    assert (np.diff(result.arrays["latent/board_z"]) <= 0).all()
    assert len(result.table) == 1 + 2 * 2 + 3 + 2 * 2 + 2
