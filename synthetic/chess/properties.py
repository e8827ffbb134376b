"""What is true of a chess board: the properties of the published board scores.

Families (Karvonen et al. 2024, arXiv 2408.00113), seen by the side to move:

    moved piece      12 pieces x 64 squares; a piece on a square where one of its kind
                     starts does not count, for the length of the text gives it away
    piece            12 pieces x 64 squares, all of them
    attacked         64 squares that the opponent attacks
    destination      64 squares that a legal move ends on
    and one each: check, can check, queen, can take queen, bishop pair, castling,
    castling king side, castling queen side, fork, pin, en passant, ambiguous move

Of "moved piece" 64 can never be true: 32 starts, and pawns on the first and last rank.
"check" is being in check; "can check" having a move that gives it; "pin" a piece of one's
own that may not leave a line to its king. The source does not define a fork; here it is a
piece that attacks two or more of the opponent's which are a king or worth more than itself
(1, 3, 3, 5, 9 from pawn to queen).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from synthetic.chess import rules

SQUARES = [file + rank for rank in "12345678" for file in "abcdefgh"]
PIECES = "PNBRQKpnbrqk"
VALUES = (0, 1, 3, 3, 5, 9, 100)  # by chess.PAWN to chess.KING

Value = Callable[[Any], Any]


class Family(NamedTuple):
    """Attributes:
    names: of its properties; one empty name where there is one.
    value: board to their truth.
    """

    names: list[str]
    value: Value


def values(boards: Sequence[Any], families: Sequence[str]) -> Bool[np.ndarray, "board p"]:
    """Which properties hold, family after family.

    Raises:
        ValueError: there is no such family.
        ImportError: `chess` is not installed.
    """
    chosen = [_family(name).value for name in families]
    rows = [[np.ravel(value(board)) for value in chosen] for board in boards]
    empty = np.zeros((0, len(names(families))), bool)
    return np.array([np.concatenate(row) for row in rows], bool) if rows else empty


def names(families: Sequence[str]) -> list[str]:
    """A name per property, such as "moved piece N f3"."""
    return [f"{name} {part}".strip() for name in families for part in _family(name).names]


def possible(families: Sequence[str]) -> Bool[np.ndarray, " p"]:
    """False for the properties of "moved piece" and "piece" that no board can have."""
    found = []
    for name in families:
        shape = len(_family(name).names)
        one = np.ones(shape, bool)
        if name in ("moved piece", "piece"):
            one = one.reshape(12, 64)
            one[[0, 6], :8] = one[[0, 6], 56:] = False
            if name == "moved piece":
                one = one & ~_starts()
        found.append(one.ravel())
    return np.concatenate(found)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(
            f"family is {name!r}, expected one of {', '.join(FAMILIES)}; check the name"
        )
    return FAMILIES[name]


def _pieces(board: Any) -> Bool[np.ndarray, "piece square"]:
    found = np.zeros((12, 64), bool)
    for square, piece in board.piece_map().items():
        found[PIECES.index(piece.symbol()), square] = True
    return found


@cache
def _starts() -> Bool[np.ndarray, "piece square"]:
    return _pieces(rules.load().Board())


def _squares(chosen: Any) -> Bool[np.ndarray, " square"]:
    found = np.zeros(64, bool)
    found[list(chosen)] = True
    return found


def _attacked(board: Any) -> Bool[np.ndarray, " square"]:
    return _squares(s for s in range(64) if board.is_attacked_by(not board.turn, s))


def _is_taken(board: Any, move: Any) -> bool:
    """Whether a move takes the opponent's queen."""
    return move.to_square in board.pieces(rules.load().QUEEN, not board.turn)


def _own(board: Any, kind: str) -> int:
    return len(board.pieces(getattr(rules.load(), kind), board.turn))


def _forks(board: Any) -> bool:
    def victims(square: int) -> int:
        worth = VALUES[board.piece_type_at(square)]
        theirs = board.attacks(square) & board.occupied_co[not board.turn]
        return sum(VALUES[board.piece_type_at(s)] > worth for s in theirs)

    return any(victims(s) >= 2 for s in range(64) if board.color_at(s) is board.turn)


def _pins(board: Any) -> bool:
    own = (s for s in range(64) if board.color_at(s) is board.turn)
    return any(board.is_pinned(board.turn, s) for s in own)


def _is_ambiguous(board: Any) -> bool:
    """Whether pieces of one kind, no pawns and no king, have a move to the same square."""
    moves = [
        (board.piece_type_at(move.from_square), move.to_square)
        for move in board.legal_moves
        if 1 < board.piece_type_at(move.from_square) < 6
    ]
    return len(set(moves)) < len(moves)


def _by_square(value: Value) -> Family:
    return Family(SQUARES, value)


def _by_piece(value: Value) -> Family:
    return Family([f"{piece} {square}" for piece in PIECES for square in SQUARES], value)


def _single(value: Value) -> Family:
    return Family([""], value)


FAMILIES: dict[str, Family] = {
    "moved piece": _by_piece(lambda b: _pieces(b) & ~_starts()),
    "piece": _by_piece(_pieces),
    "attacked": _by_square(_attacked),
    "destination": _by_square(lambda b: _squares(m.to_square for m in b.legal_moves)),
    "check": _single(lambda b: b.is_check()),
    "can check": _single(lambda b: any(b.gives_check(m) for m in b.legal_moves)),
    "queen": _single(lambda b: _own(b, "QUEEN") > 0),
    "can take queen": _single(lambda b: any(_is_taken(b, m) for m in b.legal_moves)),
    "bishop pair": _single(lambda b: _own(b, "BISHOP") > 1),
    "castling": _single(lambda b: b.has_castling_rights(b.turn)),
    "castling king side": _single(lambda b: b.has_kingside_castling_rights(b.turn)),
    "castling queen side": _single(lambda b: b.has_queenside_castling_rights(b.turn)),
    "fork": _single(_forks),
    "pin": _single(_pins),
    "en passant": _single(lambda b: b.has_legal_en_passant()),
    "ambiguous move": _single(_is_ambiguous),
}
LOW_LEVEL = ("moved piece",)
STRATEGY = tuple(FAMILIES)[2:]
