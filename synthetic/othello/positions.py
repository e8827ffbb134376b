"""Single positions out of recorded games, with what only the past or the future knows."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from synthetic.othello.board import Squares
from synthetic.othello.games import Games, Sets, only


class Position(NamedTuple):
    """A position after a move, seen by the player who moves next; sets are [row, *batch].

    Attributes:
        own, opponent, legal, taken: as in `Games`.
        placed: the move that led here.
        once, twice, odd: squares taken at least once, at least twice, an odd number of
            times since a disc was last put on them.
        following: the move that is played next; none at the end of a game.
        other_own, other_opponent: the board of another game after as many moves.
        black: whether black moves next.
        passed: whether the other player has just passed.
        ply: how many moves were made.
    """

    own: Squares
    opponent: Squares
    legal: Squares
    taken: Squares
    placed: Squares
    once: Squares
    twice: Squares
    odd: Squares
    following: Squares
    other_own: Squares
    other_opponent: Squares
    black: Bool[Array, "*batch"]
    passed: Bool[Array, "*batch"]
    ply: Int[Array, "*batch"]


def positions(games: Games, time: Int[Array, "game slot"] | None = None) -> Position:
    """The positions [game, slot] after the moves `time`; of all moves when that is None.

    Under jit, what is not used is not computed.
    """
    n_time, size, n_games = games.own.shape
    if time is None:
        time = jnp.broadcast_to(jnp.arange(n_time, dtype=jnp.int32), (n_games, n_time))
    placed = jnp.moveaxis(only(size, games.square), 0, 1)
    once, twice, odd = _history(placed, games.taken)
    following = jnp.concatenate([placed[1:], jnp.zeros_like(placed[:1])])
    sets = (games.own, games.opponent, games.legal, games.taken, placed, once, twice, odd)
    chosen = [_at(x, time) for x in (*sets, following)]
    others = [_at(jnp.roll(x, 1, axis=-1), time) for x in (games.own, games.opponent)]
    mover = jnp.concatenate([jnp.ones((1, n_games), bool), games.black[:-1]])
    passed = (mover == games.black) & (games.legal != 0).any(axis=1)
    flags = [_at(x[:, None], time)[0] for x in (games.black, passed)]
    return Position._make([*chosen, *others, *flags, time + 1])


def draw_times(games: Games, level: Float[Array, "game slot"]) -> Int[Array, "game slot"]:
    """For each game, times of positions with a next move.

    The times of a game are cut into as many equal parts as there are slots, and one is
    drawn in each by `level`, uniform draws on [0, 1). With a slot for every time, a game
    of full length gives each of its positions once.
    """
    count = (games.legal != 0).any(axis=1).sum(axis=0, dtype=jnp.int32)[:, None]
    slots = level.shape[1]
    share = (jnp.arange(slots, dtype=level.dtype) + level) / slots
    return jnp.minimum((share * count).astype(jnp.int32), count - 1)


def _at(x: Array, time: Int[Array, "game slot"]) -> Array:
    """[time, row, game] to [row, game, slot] at each game's own times."""
    return jnp.take_along_axis(jnp.moveaxis(x, 0, -1), time[None], axis=-1)


def _history(placed: Sets, taken: Sets) -> tuple[Sets, Sets, Sets]:
    """Squares taken at least once, at least twice, oddly often since last placed on."""

    def step(counts, move):
        placed, taken = move
        once, twice, odd = (x & ~placed for x in counts)
        counts = (once | taken, twice | (once & taken), odd ^ taken)
        return counts, counts

    none = jnp.zeros_like(placed[0])
    return lax.scan(step, (none, none, none), (placed, taken))[1]
