"""Games of people, from files in the WTHOR format of the French Othello federation.

A file is a header of 16 bytes and 68 bytes per game, little endian: four bytes of date,
the number of games, two bytes that are 0 for games, the year, the board's size (0 or 8),
the kind (0 for games); then per game the numbers of tournament, black and white, black's
discs at the end (empty squares go to the winner), the theoretical score, and 60 moves,
10 row + column counted from 1, 0 after the last. Passes are left out.
(https://www.ffothello.org/wthor/Format_WThor.pdf)
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

SIZE, N_MOVES = 8, 60

_HEADER = np.dtype(
    [
        ("date", "u1", 4),
        ("n_games", "<u4"),
        ("n_names", "<u2"),
        ("year", "<u2"),
        ("size", "u1"),
        ("kind", "u1"),
        ("depth", "u1"),
        ("unused", "u1"),
    ]
)
_GAME = np.dtype(
    [
        ("tournament", "<u2"),
        ("black", "<u2"),
        ("white", "<u2"),
        ("black_discs", "u1"),
        ("theoretical", "u1"),
        ("moves", "u1", N_MOVES),
    ]
)


class WthorError(ValueError):
    """A file is not a whole WTHOR file of 8 x 8 games."""


class Archive(NamedTuple):
    """Attributes:
    squares: [time, game], the moves as `games.replay` takes them; 64 after the last.
    year: in which the games were played.
    black_discs: at the end, by the file.
    tournament, black, white: numbers that lists beside the file turn into names.
    """

    squares: UInt8[np.ndarray, "time game"]
    year: int
    black_discs: Int[np.ndarray, " game"]
    tournament: Int[np.ndarray, " game"]
    black: Int[np.ndarray, " game"]
    white: Int[np.ndarray, " game"]


def read(path: str | Path) -> Archive:
    """The games of a `.wtb` file.

    Whether the moves are legal is for `games.replay` to say.

    Raises:
        WthorError: the file is cut, has other contents, or a move is no square.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes()
    if len(content) < _HEADER.itemsize:
        raise WthorError(
            f"{path} has {len(content)} bytes, expected a header of {_HEADER.itemsize}; "
            "download the file again"
        )
    header = np.frombuffer(content, _HEADER, count=1)[0]
    if header["n_names"] or header["kind"] or header["size"] not in (0, SIZE):
        raise WthorError(
            f"{path} holds {header['n_names']} names, kind {header['kind']} and board size "
            f"{header['size']}, expected games on 8 x 8 boards; give a .wtb file"
        )
    expected = _HEADER.itemsize + int(header["n_games"]) * _GAME.itemsize
    if len(content) != expected:
        raise WthorError(
            f"{path} has {len(content)} bytes, expected {expected} for its "
            f"{header['n_games']} games; download the file again"
        )
    games = np.frombuffer(content, _GAME, offset=_HEADER.itemsize)
    columns = ("black_discs", "tournament", "black", "white")
    return Archive(
        _squares(games["moves"], path).T,
        int(header["year"]),
        *(games[name].astype(int) for name in columns),
    )


def _squares(moves: np.ndarray, path: str | Path) -> np.ndarray:
    """[game, time]; raises WthorError for a byte that is no square, or a gap."""
    row, column = np.divmod(moves, 10)
    is_square = (row >= 1) & (row <= SIZE) & (column >= 1) & (column <= SIZE)
    after_end = np.maximum.accumulate(moves == 0, axis=1)
    wrong = np.argwhere(~is_square & (moves != 0) | after_end & (moves != 0))
    if len(wrong):
        game, time = wrong[0]
        raise WthorError(
            f"move {time} of game {game} in {path} is {moves[game, time]}, expected "
            "10 row + column with both from 1 to 8, or 0 after the last; the file is broken"
        )
    squares = np.where(is_square, (row - 1) * SIZE + column - 1, SIZE**2)
    return squares.astype(np.uint8)
