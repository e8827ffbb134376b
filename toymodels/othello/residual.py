"""The residual stream of a transformer that plays Othello, as a world.

`OthelloMoves` is its control: what the moves say by themselves, before any model.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from synthetic.base import Batch
from synthetic.othello import OthelloGame, Sequences, draw_times, labels, positions
from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.transformer import Transformer


@struct.dataclass
class OthelloResidual:
    """x is the stream at one site after a move, features are what is true then.

    Positions come from fresh games, `slots` of each game, and only such as have a next
    move; every game weighs the same. Games, forward pass and labels are one program.

    Raises:
        ValueError: the site or a family does not exist, or slots do not fit a game.

    Attributes:
        game: makes the moves.
        model: reads them; trained, or as it starts for a control.
        families: of features (`synthetic.othello.families`); static.
        site: of the stream, as in `transformer.site`; static.
        slots: positions of each game; static.
        untrained: the model before training, with which scores measure a floor; None
            leaves that floor out.
    """

    game: OthelloGame
    model: Transformer
    families: tuple[str, ...] = struct.field(pytree_node=False)
    site: int = struct.field(pytree_node=False, default=0)
    slots: int = struct.field(pytree_node=False, default=8)
    untrained: Transformer | None = None

    __repr__ = of_fields

    def __post_init__(self):
        if isinstance(self.model, Transformer):
            fix = "0 is the embedding; transformer.site counts the others"
            require_range("site", self.site, 0, self.model.n_sites - 1, fix)
            fix = "a game has no more positions with a next move"
            require_range("slots", self.slots, 1, self.game.n_tokens, fix)
            labels.count(self.game.rules.size, self.families)

    @property
    def n_features(self) -> int:
        return labels.count(self.game.rules.size, self.families)

    @property
    def d_model(self) -> int:
        return self.model.d_model

    @property
    def names(self) -> list[str]:
        """Of the features."""
        return labels.names(self.game.rules.size, self.families)

    @property
    def parents(self) -> Int[Array, " feature"]:
        """The feature that each feature implies, -1 where it has none."""
        return jnp.asarray(labels.parents(self.game.rules.size, self.families))

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` positions; those of one game follow each other."""
        require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
        x, features = self.streams(key, -(-batch_size // self.slots))
        return Batch(x[self.site, :batch_size], features[:batch_size])

    def streams(
        self, key: Key[Array, ""], n_games: int
    ) -> tuple[Float[Array, "site row d_model"], Float[Array, "row feature"]]:
        """The stream at every site, and the features; `slots` rows of each game."""
        sequences, time = _drawn(key, self.game, n_games, self.slots)
        residual = self.model(sequences.tokens).residual
        return _rows(residual, time), _features(self, sequences, time)


@struct.dataclass
class OthelloMoves:
    """x says which moves were played, which was the last, and how many there were.

    One entry per word for each of the first two, and one per length: what a linear probe
    reads off it, it reads without a model of the game. To be probed like `OthelloResidual`,
    of which it has one site.
    """

    game: OthelloGame
    families: tuple[str, ...] = struct.field(pytree_node=False)
    slots: int = struct.field(pytree_node=False, default=8)

    __repr__ = of_fields

    @property
    def names(self) -> list[str]:
        """Of the features."""
        return labels.names(self.game.rules.size, self.families)

    def streams(
        self, key: Key[Array, ""], n_games: int
    ) -> tuple[Float[Array, "site row d_model"], Float[Array, "row feature"]]:
        """x at the one site, and the features; `slots` rows of each game."""
        sequences, time = _drawn(key, self.game, n_games, self.slots)
        last = jax.nn.one_hot(sequences.tokens, self.game.n_words, dtype=jnp.float32)
        length = jnp.broadcast_to(
            jnp.eye(last.shape[1], dtype=jnp.float32), (*last.shape[:2], last.shape[1])
        )
        x = jnp.concatenate([jnp.cumsum(last, axis=1), last, length], axis=-1)
        return _rows(x[None], time), _features(self, sequences, time)


def _drawn(key: Key[Array, ""], game: OthelloGame, n_games: int, slots: int):
    """Games, and times [game, slot] of positions with a next move."""
    key_games, key_times = jax.random.split(key)
    sequences = game.sample(key_games, n_games)
    level = jax.random.uniform(key_times, (n_games, slots), jnp.float32)
    return sequences, draw_times(sequences.games, level)


def _rows(x: Float[Array, "site game token d"], time: Array) -> Array:
    """At each game's own times: [site, row, d]."""
    x = jnp.take_along_axis(x, time[None, :, :, None], axis=2)
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _features(world: OthelloResidual | OthelloMoves, sequences: Sequences, time: Array):
    """[row, feature]"""
    position = positions(sequences.games, time)
    features = labels.values(world.game.rules, position, world.families)
    return features.reshape(-1, features.shape[-1])
