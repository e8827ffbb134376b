"""The rules of Othello and its variants: the start, who may play where, and what falls.

All of them are static: they decide the program, not its numbers. The variants are those of
MetaOthello (Chawla et al. 2026, arXiv 2602.23164). Squares are numbered row by row from a1,
the upper left one; black plays first.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from synthetic.othello import board
from synthetic.othello.board import STEPS, Framed, Squares

SIZES = (4, 6, 8)


class Rules(Protocol):
    """What a variant offers; own discs are those of the side to move.

    `token_of_square` renames the squares for a model that reads games; () leaves them.
    `permanent` says whether discs never leave the board.
    """

    permanent: ClassVar[bool]

    @property
    def size(self) -> int: ...

    @property
    def token_of_square(self) -> tuple[int, ...]: ...

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """The discs of black and of white, [row]."""
        ...

    def legal(self, own: Framed, opponent: Framed) -> Squares:
        """Where the side to move may play."""
        ...

    def taken(self, own: Framed, opponent: Framed, squares: Framed) -> Squares:
        """The discs that fall to a move on any of `squares`, which are legal moves."""
        ...

    def after(
        self, own: Squares, opponent: Squares, placed: Squares, taken: Squares
    ) -> tuple[Squares, Squares]:
        """Own and opponent's discs after the move."""
        ...


@dataclass(frozen=True)
class Classic:
    """Othello: a move flanks a line of the opponent's discs and turns all of them.

    Raises:
        ValueError: the size is not 4, 6 or 8, or the tokens are no permutation.
    """

    size: int = 8
    token_of_square: tuple[int, ...] = ()
    permanent: ClassVar[bool] = True

    def __post_init__(self):
        _require_valid(self)

    def start(self):
        return _start(self.size, apart=0)

    def legal(self, own, opponent):
        return board.union(board.flanking(own, opponent, step) for step in STEPS)

    def taken(self, own, opponent, squares):
        return board.union(board.flanked(own, opponent, squares, step) for step in STEPS)

    def after(self, own, opponent, placed, taken):
        return own | placed | taken, opponent & ~taken


@dataclass(frozen=True)
class NoMidFlip:
    """Othello, but only the first and the last disc of a flanked line turn."""

    size: int = 8
    token_of_square: tuple[int, ...] = ()
    permanent: ClassVar[bool] = True

    def __post_init__(self):
        _require_valid(self)

    def start(self):
        return _start(self.size, apart=0)

    def legal(self, own, opponent):
        return board.union(board.flanking(own, opponent, step) for step in STEPS)

    def taken(self, own, opponent, squares):
        ends = []
        for step in STEPS:
            first = board.shifted(squares, step)
            last = board.shifted(own, board.opposite(step))
            line = board.flanked(own, opponent, squares, step)
            ends.append(line & (first | last))
        return board.union(ends)

    def after(self, own, opponent, placed, taken):
        return own | placed | taken, opponent & ~taken


@dataclass(frozen=True)
class DelFlank:
    """A move goes beside an own disc, and flanked discs leave the board.

    It starts from discs further apart. A square can be played more than once; games end
    after size^2 - 4 moves, as in all variants.
    """

    size: int = 8
    token_of_square: tuple[int, ...] = ()
    permanent: ClassVar[bool] = False

    def __post_init__(self):
        _require_valid(self)

    def start(self):
        white, black = _start(self.size, apart=1)
        return black, white

    def legal(self, own, opponent):
        return board.neighbours(own) & board.empty(own, opponent)

    def taken(self, own, opponent, squares):
        return board.union(board.flanked(own, opponent, squares, step) for step in STEPS)

    def after(self, own, opponent, placed, taken):
        return own | placed, opponent & ~taken


def iago(size: int = 8) -> Classic:
    """Classic Othello whose square i is called (47 i + 13) mod size^2."""
    n = size**2
    return Classic(size, tuple((47 * i + 13) % n for i in range(n)))


def n_moves(rules: Rules) -> int:
    """The moves of a full game, size^2 - 4."""
    return rules.size**2 - 4


def _start(size: int, apart: int) -> tuple[np.ndarray, np.ndarray]:
    """Four discs around the centre, black on the diagonal from the lower left."""
    low, high = size // 2 - 1 - apart, size // 2 + apart
    black, white = np.zeros((2, size), np.uint8)
    black[[low, high]] = 1 << high, 1 << low
    white[[low, high]] = 1 << low, 1 << high
    return black, white


def _require_valid(rules: Rules) -> None:
    size, names = rules.size, rules.token_of_square
    if size not in SIZES:
        raise ValueError(
            f"size is {size}, expected one of {SIZES}; boards have an even number of rows "
            "and fit eight bits"
        )
    if names and sorted(names) != list(range(size**2)):
        raise ValueError(
            f"token_of_square holds {len(names)} names, expected each of 0 to "
            f"{size**2 - 1} once; it is a permutation of the squares"
        )
