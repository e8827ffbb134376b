"""The families of features that can be true of a position, each computed when asked for.

The player who moves next is "I". *Binary* families hold 1 or 0, *graded* ones a number.
*Controls* are binary too, but no model can know more of them than their rate: the absolute
colour, the move that is about to be chosen, the board of another game.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from synthetic.othello import board, strategy
from synthetic.othello.board import STEPS, Framed, Squares, framed, inner, planes
from synthetic.othello.positions import Position
from synthetic.othello.rules import Rules

Kind = Literal["binary", "graded", "control"]


def all_squares(size: int) -> np.ndarray:
    """Every square, by number."""
    return np.arange(size**2)


def no_squares(size: int) -> np.ndarray:
    """For families that speak of the whole position."""
    return np.arange(0)


def corners(size: int) -> np.ndarray:
    """The four corners, row by row."""
    return np.array([0, size - 1, size * (size - 1), size**2 - 1])


def beside_corners(size: int) -> np.ndarray:
    """The X and C squares, row by row."""
    ends = [0, 1, size - 2, size - 1]
    near = np.add.outer(size * np.array(ends), ends).reshape(-1)
    return np.setdiff1d(near, corners(size))


class Family(NamedTuple):
    """Attributes:
    values: `(rules, position) -> [*batch, *axes, size^2]`, or [*batch, *axes] for a
        family without squares.
    axes: what comes before the squares; `AXES` names their entries.
    squares: `size -> [square]`, the squares that are features.
    parent: the family that this one implies, on the same square and leading axes.
    kind: see above.
    """

    values: Callable[[Rules, Position], Array]
    axes: tuple[str, ...] = ()
    squares: Callable[[int], np.ndarray] = all_squares
    parent: str = ""
    kind: Kind = "binary"


AXES: dict[str, Callable[[int], Sequence[str]]] = {
    "direction": lambda size: ("nw", "n", "ne", "w", "e", "sw", "s", "se"),
    "length": lambda size: [str(k) for k in range(1, size - 1)],
    "quadrant": lambda size: ("nw", "ne", "sw", "se"),
}


def _own(p: Position) -> Framed:
    return framed(p.own)


def _opponent(p: Position) -> Framed:
    return framed(p.opponent)


def _empty(p: Position) -> Squares:
    return board.empty(_own(p), _opponent(p))


def _originally_mine(p: Position) -> Squares:
    return (p.own & ~p.odd) | (p.opponent & p.odd)


def _via(rules: Rules, p: Position) -> Array:
    lines = [strategy.via(rules, _own(p), _opponent(p), step) for step in STEPS]
    return jnp.stack([planes(line) for line in lines], axis=-2)


def _via_of_lengths(rules: Rules, p: Position) -> Array:
    found = []
    for step in STEPS:
        lines = strategy.via_of_lengths(rules, _own(p), _opponent(p), step)
        found.append(jnp.stack([planes(line) for line in lines], axis=-2))
    return jnp.stack(found, axis=-3)


def _quadrants(rules: Rules, p: Position) -> Array:
    half = rules.size // 2
    empty = planes(_empty(p)).reshape(*p.ply.shape, 2, half, 2, half)
    return empty.sum(axis=(-3, -1)).reshape(*p.ply.shape, 4)


def _plane(select: Callable[[Position], Squares], **of) -> Family:
    return Family(lambda rules, p: planes(select(p)), **of)


def _number(values: Callable[[Rules, Position], Array], kind: Kind = "graded") -> Family:
    return Family(values, squares=no_squares, kind=kind)


def _both_sides(
    name: str,
    discs: Callable[[Rules, Framed, Framed, Squares], Squares],
    parent: str = "",
    **of,
) -> dict[str, Family]:
    """`name_mine` and `name_theirs`: `discs(rules, one side, other side, empty)`."""

    def mine(rules, p):
        return planes(discs(rules, _own(p), _opponent(p), _empty(p)))

    def theirs(rules, p):
        return planes(discs(rules, _opponent(p), _own(p), _empty(p)))

    prefix = f"{parent}_" if parent else ""
    return {
        f"{name}_mine": Family(mine, parent=f"{prefix}mine", **of),
        f"{name}_theirs": Family(theirs, parent=f"{prefix}theirs", **of),
    }


FAMILIES: dict[str, Family] = {
    # The board and the rules.
    "mine": _plane(lambda p: p.own),
    "theirs": _plane(lambda p: p.opponent),
    "empty": Family(lambda rules, p: planes(_empty(p))),
    "legal": _plane(lambda p: p.legal, parent="empty"),
    "via": Family(_via, ("direction",), parent="legal"),
    "via_of_length": Family(_via_of_lengths, ("direction", "length"), parent="via"),
    # What the last moves did.
    "played": _plane(lambda p: p.placed),
    "flipped": _plane(lambda p: p.taken),
    "flipped_before": _plane(lambda p: p.once),
    "flipped_twice": _plane(lambda p: p.twice, parent="flipped_before"),
    "flipped_oddly": _plane(lambda p: p.odd, parent="flipped_before"),
    "originally_mine": _plane(_originally_mine),
    "passed": _number(lambda rules, p: p.passed, "binary"),
    # What a player looks at.
    **_both_sides("at_risk", lambda rules, a, b, empty: strategy.at_risk(rules, b, a)),
    **_both_sides("frontier", lambda rules, a, b, empty: strategy.frontier(a, empty)),
    **_both_sides("stable", lambda rules, a, b, empty: strategy.stable(rules, a, empty)),
    **_both_sides("edge", lambda rules, a, b, empty: strategy.edge_runs(a), "stable"),
    **_both_sides("corner", lambda rules, a, b, empty: inner(a), "edge", squares=corners),
    **_both_sides(
        "danger",
        lambda rules, a, b, empty: strategy.beside_empty_corners(a, empty),
        squares=beside_corners,
    ),
    # Numbers.
    "mobility": _number(lambda rules, p: board.count(rules.legal(_own(p), _opponent(p)))),
    "mobility_theirs": _number(
        lambda rules, p: board.count(rules.legal(_opponent(p), _own(p)))
    ),
    "disc_difference": _number(
        lambda rules, p: board.count(p.own) - board.count(p.opponent)
    ),
    "n_frontier_mine": _number(
        lambda rules, p: board.count(strategy.frontier(_own(p), _empty(p)))
    ),
    "n_frontier_theirs": _number(
        lambda rules, p: board.count(strategy.frontier(_opponent(p), _empty(p)))
    ),
    "n_empty": _number(lambda rules, p: board.count(_empty(p))),
    "odd_empty": _number(lambda rules, p: board.count(_empty(p)) % 2, "binary"),
    "empty_in_quadrant": Family(
        _quadrants, ("quadrant",), squares=no_squares, kind="graded"
    ),
    "ply": _number(lambda rules, p: p.ply),
    # Controls.
    "black_moves": _number(lambda rules, p: p.black, "control"),
    "next_move": _plane(lambda p: p.following, kind="control"),
    "other_game_mine": _plane(lambda p: p.other_own, kind="control"),
    "other_game_theirs": _plane(lambda p: p.other_opponent, kind="control"),
}
