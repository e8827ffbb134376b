"""Players with a name: a game, the sizes of a transformer and how it is trained on it."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import jax
from jaxtyping import Array, DTypeLike, Key

from toymodels.training import loop
from toymodels.training.progress import Choice
from toymodels.transformer import next_token
from toymodels.transformer.model import Transformer
from toymodels.transformer.positions import Rotary


class Game(next_token.Game, Protocol):
    """Makes sequences of a known vocabulary and length."""

    @property
    def n_words(self) -> int: ...

    @property
    def n_tokens(self) -> int: ...


G = TypeVar("G", bound=Game)


@dataclass(frozen=True)
class Preset(Generic[G]):
    """Attributes:
    game: whose next tokens are learned.
    d_model, n_layers, n_heads: of the model.
    n_steps, batch_size: updates, and sequences in each.
    learning_rate: the highest.
    dtype: of weights and stream in the forward pass; None is float32.
    position: how tokens are told apart, `positions.Rotary()`; None learns a vector each.
    """

    game: G
    d_model: int
    n_layers: int
    n_heads: int
    n_steps: int
    batch_size: int
    learning_rate: float
    dtype: DTypeLike | None = None
    position: Rotary | None = None

    def init(self, key: Key[Array, ""]) -> Transformer:
        """The model before training."""
        return Transformer(
            key,
            self.game.n_words,
            self.game.n_tokens,
            self.d_model,
            self.n_layers,
            self.n_heads,
            position=self.position,
        )

    def train(
        self,
        key: Key[Array, ""],
        chunk: int = 100,
        progress: Choice = None,
        checkpoints: loop.Checkpoints | None = None,
    ) -> tuple[Transformer, loop.History]:
        """The trained model, and one row of metrics per chunk.

        The first half of `key` is that of `init`, the second that of the data. Measure the
        model with a key of its own; `next_token.evaluate`, `walks.evaluate` and
        `probes` set theirs apart from every batch of training.
        """
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
