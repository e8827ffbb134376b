"""Othello transformers with a name: a game, a model's sizes and how it is trained.

    preset = othello_models.tiny()
    model, history = preset.train(random.key(0))

`tiny` is for tests and runs in half a minute on two cores, `small` in half an hour on one.
`full` has the size of Othello-GPT (Li et al. 2023, arXiv 2210.13382) and wants an
accelerator.
"""

import jax.numpy as jnp

from synthetic.othello import Classic, OthelloGame
from toymodels.transformer.preset import Preset


def tiny() -> Preset[OthelloGame]:
    """4 x 4 squares, 0.1 M weights, 128,000 games."""
    game = OthelloGame(Classic(4))
    return Preset(game, 64, 2, 4, n_steps=2_000, batch_size=64, learning_rate=2e-3)


def small() -> Preset[OthelloGame]:
    """6 x 6 squares, 0.8 M weights, 640,000 games."""
    game = OthelloGame(Classic(6))
    return Preset(game, 128, 4, 8, n_steps=20_000, batch_size=32, learning_rate=2e-3)


def full() -> Preset[OthelloGame]:
    """8 x 8 squares, 25 M weights, 5 M games."""
    game = OthelloGame(Classic(8))
    return Preset(game, 512, 8, 8, 20_000, 256, 5e-4, jnp.bfloat16)
