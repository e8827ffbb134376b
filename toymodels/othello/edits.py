"""Turning one disc in the mind of an Othello player, and what it plays then.

A case is a partial game and an occupied square whose disc is turned over on the board: the
edited board may be one that no game reaches. The player has read the true moves; its
residual stream is edited at the last of them. It succeeds if it then plays by the rules on
the edited board, whose exact distribution of next moves the engine knows (Li et al. 2023,
arXiv 2210.13382; Nanda et al. 2023, arXiv 2309.00941).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from synthetic.othello import OthelloGame, board, draw_times, positions
from synthetic.othello.board import framed
from synthetic.othello.games import only
from toymodels.transformer import Transformer


class Cases(NamedTuple):
    """Attributes:
    tokens: the moves of whole games; those after `time` do not matter.
    time: of the last move that the player has read.
    square: whose disc is turned.
    mine: whether it was the disc of the player who moves next.
    before, after: exact distributions of the next move, on the true board and the edited.
    own, opponent: the discs of the true board, the player's who moves next and the other's.
    """

    tokens: Int[Array, "case token"]
    time: Int[Array, " case"]
    square: Int[Array, " case"]
    mine: Bool[Array, " case"]
    before: Float[Array, "case word"]
    after: Float[Array, "case word"]
    own: board.Squares
    opponent: board.Squares


def cases(key: Key[Array, ""], game: OthelloGame, n_cases: int) -> Cases:
    """One position of each of `n_cases` games, and one of its occupied squares, all alike.

    Only squares count that leave the player a move on the edited board. There is always
    one: two of the four central discs lie off the line that a legal move takes.
    """
    key_games, key_times, key_squares = jax.random.split(key, 3)
    sequences = game.sample(key_games, n_cases)
    level = jax.random.uniform(key_times, (n_cases, 1), jnp.float32)
    time = draw_times(sequences.games, level)
    now = jax.tree.map(lambda part: part[..., 0], positions(sequences.games, time))
    n_squares = game.rules.size**2
    disc = only(game.rules.size, jnp.arange(n_squares, dtype=jnp.uint8))[..., None]
    own, opponent = now.own[:, None], now.opponent[:, None]
    occupied = board.some((own | opponent) & disc)
    legal = game.rules.legal(framed(own ^ disc), framed(opponent ^ disc))
    possible = occupied & board.some(legal)
    level = jax.random.uniform(key_squares, possible.shape, jnp.float32)
    square = jnp.argmax(jnp.where(possible, level, -1), axis=0)
    case = jnp.arange(n_cases)
    return Cases(
        sequences.tokens,
        time[:, 0],
        square,
        board.some(own & disc)[square, case],
        game.next_token(now.legal),
        game.next_token(legal[:, square, case]),
        now.own,
        now.opponent,
    )


def logits_after(
    model: Transformer, cases: Cases, shifts: Mapping[int, Float[Array, "case d_model"]]
) -> Float[Array, "case word"]:
    """The player's logits at each case's last move.

    Args:
        model: the player.
        cases: what it reads.
        shifts: site to what is added to the stream there, at the last move alone.
    """
    case = jnp.arange(len(cases.time))

    def added(shift):
        return lambda x: x.at[case, cases.time].add(shift)

    edits = {site: added(shift) for site, shift in shifts.items()}
    return model(cases.tokens, edits).logits[case, cases.time]


class Outcome(NamedTuple):
    """How far a player is from the rules on the edited board, by case.

    On 8 x 8 squares nineteen legal moves in twenty do not change, so that a player who
    ignores the edit has few errors, but nearly all of `changed` in `changed_wrong`.

    Attributes:
        kl: KL(exact || player), in nats.
        errors: with n moves legal, false ones among the player's n likeliest and legal
            ones that are not among them, together.
        changed: squares whose legality the edit changes.
        changed_wrong: those of them that are errors.
    """

    kl: Float[Array, " case"]
    errors: Float[Array, " case"]
    changed: Float[Array, " case"]
    changed_wrong: Float[Array, " case"]


def outcome(logits: Float[Array, "case word"], cases: Cases) -> Outcome:
    """What the player's logits say of the edited board."""
    target, log_p = cases.after, jax.nn.log_softmax(logits)
    entropy = -jnp.sum(jax.scipy.special.xlogy(target, target), axis=-1)
    kl = -jnp.sum(target * log_p, axis=-1) - entropy
    legal, was_legal = target > 0, cases.before > 0
    n = jnp.sum(legal, axis=-1, keepdims=True)
    rank = jnp.argsort(jnp.argsort(-logits, axis=-1), axis=-1)
    wrong, differs = (rank < n) != legal, legal != was_legal
    counted = (wrong, differs, wrong & differs)
    return Outcome(kl, *(jnp.sum(part, axis=-1, dtype=jnp.float32) for part in counted))


def toward_theirs(
    mine: ArrayLike, directions: Float[Array, "square d_model"], square: Int[Array, " case"]
) -> Float[Array, "case d_model"]:
    """Each case's direction from "mine" to "theirs" on its square, or back."""
    sign = jnp.where(jnp.asarray(mine), 1, -1)
    return sign[:, None] * directions[square]


def mean_differences(
    x: Float[Array, "row d_model"],
    mine: Bool[Array, "row square"],
    theirs: Bool[Array, "row square"],
) -> Float[Array, "square d_model"]:
    """E[x | theirs] - E[x | mine] of every square."""

    def mean(where):
        where = where.astype(x.dtype)
        return where.T @ x / jnp.maximum(where.sum(axis=0), 1)[:, None]

    return mean(theirs) - mean(mine)
