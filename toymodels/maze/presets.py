"""Maze transformers with a name: mazes, a model's sizes and how it is trained.

    preset = maze_models.small()
    model, history = preset.train(random.key(0))
    test = maze_models.held_out(preset.game)

Mazes are spanning trees (Kruskal), so that every path is the only one. A tenth of all
mazes is never trained on, whatever their ends and the order of their list
(`synthetic.maze.holdout`). Tokens of the prompt weigh 0.1 in the loss, those of the path 1
(`MazeGame.prompt_weight`): in one earlier trial on 4 x 4 cells, one seed each, 85 % of
paths were exact with it and 54 % with the path alone.

`tiny` is for tests: two minutes, and 90 to 97 % of held-out paths exact on three seeds.
`small` took half an hour on one core. `medium` took 70 minutes on one core, other work
beside, and has 92 % exact on the one seed that was run. `full` wants an accelerator and has
not been trained; it has half the weights of the model `jirpy` (Ivanitskiy et al. 2023,
arXiv 2312.02566).
"""

from dataclasses import replace

import jax.numpy as jnp

from synthetic.maze import Kruskal, MazeGame, holdout
from toymodels.transformer.preset import Preset

HELD_OUT = 0.1


def game(size: int, prompt_weight: float = 0.1) -> MazeGame:
    """Training mazes of `size` by `size` cells, and the weight of a token of the prompt."""
    training, _ = holdout.split(Kruskal(size), HELD_OUT)
    return MazeGame.of(training, prompt_weight=prompt_weight)


def held_out(game: MazeGame) -> MazeGame:
    """The mazes that a game of `game` never shows; the loss counts their paths alone.

    Raises:
        ValueError: the game shows all mazes of its law.
    """
    if not isinstance(game.law, holdout.Part):
        raise ValueError(
            f"the law of the game is {type(game.law).__name__}, expected a Part, which "
            "holds mazes out; build the game with maze_models.game"
        )
    return replace(game, law=replace(game.law, test=True), prompt_weight=0.0)


def tiny() -> Preset[MazeGame]:
    """3 x 3 cells, 0.1 M weights, 128,000 mazes."""
    return Preset(game(3), 64, 2, 4, n_steps=4_000, batch_size=32, learning_rate=2e-3)


def small() -> Preset[MazeGame]:
    """4 x 4 cells, 0.2 M weights, 160,000 mazes."""
    return Preset(game(4), 64, 3, 4, n_steps=2_500, batch_size=64, learning_rate=2e-3)


def medium() -> Preset[MazeGame]:
    """5 x 5 cells, 0.2 M weights, 480,000 mazes."""
    return Preset(game(5), 64, 4, 4, n_steps=30_000, batch_size=16, learning_rate=2e-3)


def full() -> Preset[MazeGame]:
    """6 x 6 cells, 4.8 M weights, 10 M mazes."""
    return Preset(game(6), 256, 6, 8, 40_000, 256, 5e-4, jnp.bfloat16)
