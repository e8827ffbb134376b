"""Othello transformers with a name: a game, a model's sizes and how it is trained.

    preset = othello_models.tiny()
    model, history = preset.train(random.key(0))

`tiny` is for tests and runs in half a minute on two cores, `small` in half an hour on one.
`full` has the size of Othello-GPT (Li et al. 2023, arXiv 2210.13382) and wants an
accelerator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Key

from synthetic.othello import Classic, OthelloGame
from toymodels import fit, next_token
from toymodels.transformer import Transformer


@dataclass(frozen=True)
class Preset:
    """Attributes:
    game: whose moves are learned.
    d_model, n_layers, n_heads: of the model.
    n_steps, batch_size: updates, and games in each.
    learning_rate: the highest.
    dtype: of weights and stream in the forward pass; None is float32.
    """

    game: OthelloGame
    d_model: int
    n_layers: int
    n_heads: int
    n_steps: int
    batch_size: int
    learning_rate: float
    dtype: DTypeLike | None = None

    def init(self, key: Key[Array, ""]) -> Transformer:
        """The model before training."""
        return Transformer(
            key,
            self.game.n_words,
            self.game.n_tokens,
            self.d_model,
            self.n_layers,
            self.n_heads,
        )

    def train(
        self,
        key: Key[Array, ""],
        chunk: int = 100,
        progress: Callable[[int, dict[str, Any]], None] = lambda step, metrics: None,
        checkpoints: fit.Checkpoints | None = None,
    ) -> tuple[Transformer, fit.History]:
        """The trained model, and one row of metrics per chunk."""
        key_init, key_data = jax.random.split(key)
        return next_token.train(
            key_data,
            self.init(key_init),
            self.game,
            self.n_steps,
            self.batch_size,
            self.learning_rate,
            self.dtype,
            chunk,
            progress,
            checkpoints,
        )


def tiny() -> Preset:
    """4 x 4 squares, 0.1 M weights, 128,000 games."""
    game = OthelloGame(Classic(4))
    return Preset(game, 64, 2, 4, n_steps=2_000, batch_size=64, learning_rate=2e-3)


def small() -> Preset:
    """6 x 6 squares, 0.8 M weights, 640,000 games."""
    game = OthelloGame(Classic(6))
    return Preset(game, 128, 4, 8, n_steps=20_000, batch_size=32, learning_rate=2e-3)


def full() -> Preset:
    """8 x 8 squares, 25 M weights, 5 M games."""
    game = OthelloGame(Classic(8))
    return Preset(game, 512, 8, 8, 20_000, 256, 5e-4, jnp.bfloat16)
