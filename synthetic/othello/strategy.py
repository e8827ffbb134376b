"""What a player looks at: lines, discs at risk, stable discs, edges and frontiers."""

import jax.numpy as jnp
from jax import lax

from synthetic.othello import board
from synthetic.othello.board import STEPS, Framed, Squares, Step, framed, inner
from synthetic.othello.rules import Rules

_AXES: tuple[Step, ...] = ((0, 1), (1, -1), (1, 0), (1, 1))
_EDGES: tuple[Step, ...] = tuple(step for step in STEPS if 0 in step)


def via(rules: Rules, own: Framed, opponent: Framed, step: Step) -> Squares:
    """Legal moves that flank a line along `step`."""
    flanking = board.flanking(own, opponent, board.opposite(step))
    return flanking & rules.legal(own, opponent)


def via_of_lengths(
    rules: Rules, own: Framed, opponent: Framed, step: Step
) -> list[Squares]:
    """Legal moves that flank exactly 1, 2, ..., size - 2 discs along `step`."""
    back = board.opposite(step)
    legal, found, chain = rules.legal(own, opponent), [], own
    for _ in range(rules.size - 2):
        chain = framed(board.shifted(chain, back) & inner(opponent))
        found.append(board.shifted(chain, back) & legal)
    return found


def at_risk(rules: Rules, own: Framed, opponent: Framed) -> Squares:
    """The opponent's discs that some legal move takes."""
    return rules.taken(own, opponent, framed(rules.legal(own, opponent)))


def frontier(discs: Framed, empty: Squares) -> Squares:
    """The discs beside an empty square, in any direction."""
    return inner(discs) & board.neighbours(framed(empty))


def stable(rules: Rules, discs: Framed, empty: Squares) -> Squares:
    """Discs of one player that nothing can take any more.

    A disc is safe along an axis when the board ends beside it, when its neighbour is a
    stable disc of its player, or when the line is full (unless discs leave the board). It
    is stable when safe along all four axes: the smallest set with this property, grown
    from nothing. It is a part of all discs that can never be taken.
    """
    board_itself = jnp.full_like(empty, board.everywhere(rules.size))
    safe_anyway = []
    for step in _AXES:
        both_ways = (step, board.opposite(step))
        inside = [board.shifted(framed(board_itself), s) for s in both_ways]
        safe = ~(inside[0] & inside[1])
        if rules.permanent:
            reached = [board.run(framed(empty), framed(board_itself), s) for s in both_ways]
            safe |= ~(empty | reached[0] | reached[1])
        safe_anyway.append(safe)

    def grow(found: Squares) -> Squares:
        grown = inner(discs)
        for step, safe in zip(_AXES, safe_anyway, strict=True):
            held = (board.shifted(framed(found), s) for s in (step, board.opposite(step)))
            grown &= safe | board.union(held)
        return grown

    nothing = jnp.zeros_like(empty)
    return lax.while_loop(
        lambda pair: jnp.any(pair[0] != pair[1]),
        lambda pair: (pair[1], grow(pair[1])),
        (nothing, grow(nothing)),
    )[1]


def corners(like: Squares) -> Squares:
    """The four corner squares."""
    size = like.shape[0]
    row = jnp.full_like(like[:1], 1 | 1 << size - 1)
    between = jnp.zeros_like(like[: size - 2])
    return jnp.concatenate([row, between, row])


def edge_runs(discs: Framed) -> Squares:
    """Discs of one player in an unbroken run along an edge from a corner of theirs."""
    held = inner(discs) & corners(inner(discs))
    return held | board.union(board.run(framed(held), discs, step) for step in _EDGES)


def beside_empty_corners(discs: Framed, empty: Squares) -> Squares:
    """Discs on the neighbours of an empty corner (its X square and its two C squares)."""
    return frontier(discs, empty & corners(empty))
