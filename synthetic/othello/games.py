"""Games of Othello, every position recorded: random legal ones, or any list of moves.

A player without a move passes silently: passes are folded into the clock, step t is move t
of every game, and every position is recorded as the player sees it who moves next.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, Key, UInt8, UInt32

from synthetic.othello import board
from synthetic.othello.board import Framed, Squares
from synthetic.othello.rules import Rules, n_moves
from synthetic.validation import concrete, require_range

Sets = UInt8[Array, "time row game"]


class Games(NamedTuple):
    """What is true after each move, time first.

    Sets of squares are one byte per row (`synthetic.othello.board`), rows before games.
    When a game is over, later steps repeat its last board, seen by the player who moved
    last, with no legal moves and nothing taken.

    Attributes:
        square: the move, size^2 where the game was over.
        own: discs of the player who moves next.
        opponent: those of the other.
        legal: where that player may move; empty after the last move.
        taken: discs that the move flipped (or removed).
        black: whether black moves next.
    """

    square: UInt8[Array, "time game"]
    own: Sets
    opponent: Sets
    legal: Sets
    taken: Sets
    black: Bool[Array, "time game"]


class _Turn(NamedTuple):
    own: Framed
    opponent: Framed
    legal: Squares
    black: Bool[Array, " game"]


def random_games(key: Key[Array, ""], rules: Rules, n_games: int) -> Games:
    """Games whose every move is uniform over the legal ones, to within 2^-24.

    On a CPU batches of about a thousand games are fastest: they stay in the cache.
    """
    require_range("n_games", n_games, low=1, fix="an empty batch has no games")
    bits = jax.random.bits(key, (n_moves(rules), n_games), jnp.uint32)
    return _record(rules, bits, _nth)


def replay(rules: Rules, squares: Int[Array, "time game"]) -> Games:
    """The games with these moves; size^2 ends a game.

    Raises:
        ValueError: (outside jit) a move is illegal. Under jit the game ends before it.
    """
    squares = jnp.asarray(squares)
    require_range("a square", squares, 0, rules.size**2, "size^2 stands for no move")

    def choose(legal: Squares, wanted: Array) -> Array:
        is_legal = board.some(only(rules.size, wanted) & legal)
        return jnp.where(is_legal, wanted, rules.size**2).astype(jnp.uint8)

    games = _record(rules, squares, choose)
    _require_legal(rules, squares, games)
    return games


def only(size: int, square: UInt8[Array, "*batch"]) -> Squares:
    """The set of one square by its number; empty for size^2."""
    line, column = jnp.divmod(square.astype(jnp.uint8), jnp.uint8(size))
    rows = jnp.arange(size, dtype=jnp.uint8).reshape(-1, *[1] * square.ndim)
    return jnp.where(line == rows, jnp.uint8(1) << column, 0)


def _record(
    rules: Rules,
    moves: Array,
    choose: Callable[[Squares, Array], UInt8[Array, " game"]],
) -> Games:
    """Plays the square `choose(legal, moves[time])` at every time."""
    size, n_games = rules.size, moves.shape[1]

    def step(turn: _Turn, move: Array):
        own, opponent, legal, black = turn
        running = jnp.any(legal != 0)
        square = _kept(running, choose, legal, move, otherwise=size**2)
        made = square < size**2
        placed = board.replaced(own, only(size, square))
        taken = _kept(running, rules.taken, own, opponent, placed)
        mine, theirs = rules.after(
            board.inner(own), board.inner(opponent), board.inner(placed), taken
        )
        own, opponent = board.replaced(own, mine), board.replaced(opponent, theirs)
        replies = _kept(running, rules.legal, opponent, own)
        changes = made & board.some(replies)
        again = _kept(jnp.any(made & ~changes), rules.legal, own, opponent)
        mine, theirs = (
            jnp.where(changes, *sides) for sides in ((theirs, mine), (mine, theirs))
        )
        legal = jnp.where(made, jnp.where(changes, replies, again), 0)
        black = black ^ changes
        recorded = Games(square, mine, theirs, legal, taken, black)
        own, opponent = board.replaced(own, mine), board.replaced(opponent, theirs)
        return _Turn(own, opponent, legal, black), recorded

    discs = (jnp.asarray(x)[:, None] for x in rules.start())
    own, opponent = (board.framed(jnp.broadcast_to(x, (size, n_games))) for x in discs)
    first = _Turn(own, opponent, rules.legal(own, opponent), jnp.ones(n_games, bool))
    return lax.scan(step, first, moves)[1]


def _kept(
    needed: Array, compute: Callable[..., Array], *operands: Any, otherwise: int = 0
) -> Array:
    """`compute(*operands)`, or the same number everywhere when no game needs it.

    Without the branch XLA would fuse the long chain of bit operations into every consumer
    and compute it again in each.
    """
    shape = jax.eval_shape(compute, *operands)
    filled = jnp.full(shape.shape, otherwise, shape.dtype)
    return lax.cond(needed, compute, lambda *_: filled, *operands)


def _nth(squares: Squares, bits: UInt32[Array, " game"]) -> UInt8[Array, " game"]:
    """The number of one of `squares`, chosen by 32 random bits; size^2 for an empty set."""
    size = squares.shape[0]
    ends = list(accumulate(lax.population_count(squares[r]) for r in range(size)))
    rank = ((bits >> 8) * ends[-1].astype(jnp.uint32) >> 24).astype(jnp.uint8)
    line = sum((rank >= end).astype(jnp.uint8) for end in ends)
    chosen = start = jnp.zeros_like(rank)
    for r in range(size):
        chosen = jnp.where(line == r, squares[r], chosen)
        start = jnp.where(line == r + 1, ends[r], start)
    for i in range(1, size):
        chosen = jnp.where(rank - start >= i, chosen & chosen - 1, chosen)
    column = lax.population_count((chosen & -chosen) - 1)
    return jnp.where(chosen > 0, line * size + column, size**2).astype(jnp.uint8)


def _require_legal(rules: Rules, squares: Array, games: Games) -> None:
    wanted, played = concrete(squares), concrete(games.square)
    if wanted is None or played is None:
        return
    wrong = np.argwhere((wanted != played).T)
    if len(wrong):
        game, time = (int(i) for i in wrong[0])
        raise ValueError(
            f"move {time} of game {game} is square {wanted[time, game]}, expected a legal "
            f"one of {type(rules).__name__}; moves count from 0 and passes are left out"
        )
