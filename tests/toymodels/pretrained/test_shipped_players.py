"""The shipped players, measured again from their files on fresh games and mazes."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from synthetic import random
from toymodels import pretrained
from toymodels.maze import presets
from toymodels.maze import walks as maze_paths
from toymodels.maze.residual import MazeResidual
from toymodels.othello import board_scores
from toymodels.othello.residual import OthelloResidual
from toymodels.transformer import next_token, probes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["othello_tiny", "othello_small"])
def test_a_player_reaches_what_its_card_says(name):
    preset, model, card = pretrained.load(name)
    key_loss, key_fit, key_score = jax.random.split(random.key(100), 3)
    said = card["metrics"]
    found = next_token.evaluate(key_loss, model, preset.game, 2_048)
    # Both are shares of some 20,000 and 60,000 tokens or more; four standard errors.
    p = said["illegal_top1"]
    error = 4 * np.sqrt(p * (1 - p) / 20_000)
    assert found["illegal_top1"] == pytest.approx(p, abs=error)
    assert found["excess"] == pytest.approx(said["excess"], abs=0.01)
    slots = preset.game.n_tokens
    world = OthelloResidual(preset.game, model, board_scores.BOARD, slots=slots)
    fitted = probes.fit(key_fit, world, n_rows=16_384)
    board = board_scores.board_scores(key_score, fitted, world)
    assert board.accuracy.max() == pytest.approx(said["squares"], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maze_tiny", "maze_small", "maze_medium"])
def test_a_maze_player_walks_as_its_card_says(name):
    preset, model, card = pretrained.load(name)
    said, n = card["metrics"], 256
    test = presets.held_out(preset.game)
    walks = maze_paths.evaluate(random.key(101), model, test, n)
    for score in ("exact", "valid", "reached", "solved"):
        # Four standard errors of the difference; the card rests on 1,024 mazes.
        variance = max(said[score] * (1 - said[score]), 0.01)
        error = 4 * np.sqrt(variance * (1 / n + 1 / 1_024))
        assert walks[score] == pytest.approx(said[score], abs=error)


@pytest.mark.slow
def test_a_maze_player_is_read_as_its_card_says():
    preset, model, card = pretrained.load("maze_tiny")
    key_fit, key_score = jax.random.split(random.key(103))
    said, test = card["metrics"], presets.held_out(preset.game)
    layout = preset.game.layout
    token = {"<ADJLIST_END>": layout.slots.stop, "<PATH_START>": layout.path_start}
    world = MazeResidual(preset.game, model, token[said["best_place"]])
    fitted = probes.fit(key_fit, world, n_rows=16_384)
    scores = probes.feature_scores(key_score, fitted, replace(world, game=test), 8_192)
    assert scores.accuracy[said["best_site"]] == pytest.approx(
        said["connections"], abs=0.01
    )
