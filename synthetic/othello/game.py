"""The Othello game: sequences of moves with the exact distribution of every next one.

Random play makes the next move uniform over the legal ones, so that the least loss of any
model is known, and a model can be trained on the distribution instead of on draws from it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from synthetic.othello import board
from synthetic.othello.games import Games, random_games
from synthetic.othello.rules import Rules, n_moves


class Sequences(NamedTuple):
    """What a transformer is trained on, with its answer key.

    The loss is sum(weights * cross_entropy(targets, logits)) / sum(weights), where the
    logits at token t are about token t + 1. Its least value is `entropy_floor`.

    Attributes:
        tokens: the moves of each game but for the last.
        targets: the distribution of the next move; zeros after the end of a game.
        weights: 1, and 0 after the end of a game.
        games: the games, whose time t is token t (and one more).
    """

    tokens: Int[Array, "batch token"]
    targets: Float[Array, "batch token word"]
    weights: Float[Array, "batch token"]
    games: Games


@struct.dataclass
class OthelloGame:
    """Random games of some rules as sequences of tokens.

    A token is a square by its number, or by its name where the rules rename squares;
    size^2 stands after the end of a game.

    Attributes:
        rules: static.
    """

    rules: Rules = struct.field(pytree_node=False)

    @property
    def n_words(self) -> int:
        """The squares, and the end."""
        return self.rules.size**2 + 1

    @property
    def n_tokens(self) -> int:
        """The length of a sequence: the moves of a full game but for the last."""
        return n_moves(self.rules) - 1

    def sample(self, key: Key[Array, ""], batch_size: int) -> Sequences:
        """`batch_size` independent games; a pure function of `key`."""
        return self.describe(random_games(key, self.rules, batch_size))

    def describe(self, games: Games) -> Sequences:
        """The sequences of given games."""
        targets = self.next_token(jnp.moveaxis(games.legal[:-1], 1, 0))
        return Sequences(
            self.tokens(games.square[:-1]).T,
            jnp.swapaxes(targets, 0, 1),
            jnp.any(games.legal[:-1], axis=1).astype(jnp.float32).T,
            games,
        )

    def tokens(self, squares: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
        """Squares by their names; size^2 as it is."""
        if not self.rules.token_of_square:
            return squares.astype(jnp.int32)
        names = [*self.rules.token_of_square, self.rules.size**2]
        return jnp.asarray(names, jnp.int32)[squares]

    def next_token(self, legal: board.Squares) -> Float[Array, "*batch word"]:
        """Uniform over the legal moves; zeros where there are none."""
        moves = board.planes(legal)
        if self.rules.token_of_square:
            moves = moves[..., np.argsort(self.rules.token_of_square)]
        target = moves / jnp.maximum(moves.sum(-1, keepdims=True), 1)
        return jnp.pad(target, [(0, 0)] * (target.ndim - 1) + [(0, 1)])


def entropy_floor(sequences: Sequences) -> Float[Array, ""]:
    """The mean of log(number of legal moves), in nats, over tokens with a next move.

    No model can have a lower loss. The first move has no token before it and is left out.
    """
    targets, weights = sequences.targets, sequences.weights
    entropy = -jnp.sum(jax.scipy.special.xlogy(targets, targets), axis=-1)
    return jnp.sum(weights * entropy) / jnp.sum(weights)
