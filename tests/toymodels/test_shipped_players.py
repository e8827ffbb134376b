"""The shipped Othello players, measured again from their files on fresh games."""

import jax
import numpy as np
import pytest

from synthetic import random
from toymodels import next_token, pretrained, probes
from toymodels.residual import OthelloResidual


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
    world = OthelloResidual(preset.game, model, probes.BOARD, slots=slots)
    fitted = probes.fit(key_fit, world, n_rows=16_384)
    board = probes.board_scores(key_score, fitted, world)
    assert board.accuracy.max() == pytest.approx(said["squares"], abs=0.01)
