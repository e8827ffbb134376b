"""Games of chess: from PGN files or from moves, as text and as boards.

A game's text is what character-level models of chess read (Karvonen et al. 2024, arXiv
2408.00113): ";1.e4 e5 2.Nf3 Nc6", no space after a full stop. Boards are taken at the full
stops, where White is to move.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from synthetic.chess import rules
from synthetic.validation import require_range

RESULTS = ("1-0", "0-1", "1/2-1/2", "*")
VOCABULARY = " #+-.0123456789;=BKNOQRabcdefghx"


class PgnError(ValueError):
    """A file is not whole PGN of games from the usual start."""


class ChessGame(NamedTuple):
    """Attributes:
    text: the moves, in characters of `VOCABULARY`.
    stops: where in the text each full stop is.
    boards: at each of them, a `chess.Board` with White to move.
    """

    text: str
    stops: list[int]
    boards: list[Any]


class Positions(NamedTuple):
    """Attributes:
    boards: `chess.Board`, game after game.
    game: which game each comes from.
    character: where in its text the full stop is.
    """

    boards: list[Any]
    game: Int[np.ndarray, " position"]
    character: Int[np.ndarray, " position"]


def read_pgn(path: str | Path) -> list[ChessGame]:
    """The games of a file; comments, variations and names are passed over.

    Raises:
        PgnError: the file is missing or not text, holds no moves, or a game that breaks
            the rules, was cut in a move, or starts from another position.
        ImportError: `chess` is not installed.
    """
    pgn = rules.load().pgn
    content = _text(Path(path))
    file, games = io.StringIO(content), []
    while (found := pgn.read_game(file)) is not None:
        games.append(_checked(path, len(games) + 1, found))
    last = content.split()[-1:]
    if not games:
        raise PgnError(f"{path} holds no games, expected PGN; check that it is not empty")
    if last[0] not in RESULTS:
        raise PgnError(
            f"{path} ends with {last[0]!r}, expected a result ({', '.join(RESULTS)}); it "
            "was cut"
        )
    return games


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PgnError(
            f"{path} cannot be opened ({error.strerror}), expected a PGN file; check the "
            "path"
        ) from error
    except UnicodeDecodeError as error:
        raise PgnError(
            f"{path} is not UTF-8 text (byte {error.start}), expected PGN; unpack or "
            "convert it first"
        ) from error


def _checked(path: str | Path, number: int, found: Any) -> ChessGame:
    where = f"game {number} of {path}"
    if found.errors:
        raise PgnError(
            f"{where} cannot be read ({found.errors[0]}), expected legal moves; the file "
            "was cut or is of another kind"
        )
    if "FEN" in found.headers:
        raise PgnError(
            f"{where} starts from a position of its own, expected the usual start; leave "
            "it out"
        )
    moves = list(found.mainline_moves())
    if not moves:
        raise PgnError(f"{where} has no moves, expected PGN with moves; leave it out")
    return of_moves(move.uci() for move in moves)


def of_moves(moves: Iterable[str]) -> ChessGame:
    """A game from its moves in UCI notation, such as "e2e4".

    Raises:
        ValueError: a move is illegal where it is made.
        ImportError: `chess` is not installed.
    """
    board = rules.load().Board()
    text, stops, boards = ";", [], []
    for uci in moves:
        if board.turn:
            text += f"{' ' if stops else ''}{board.fullmove_number}."
            stops.append(len(text) - 1)
            boards.append(board.copy())
        else:
            text += " "
        try:
            text += board.san(board.parse_uci(uci))
        except ValueError as error:
            raise ValueError(
                f"move {len(board.move_stack) + 1} is {uci}, expected a legal move at "
                f"{board.fen()}; check the moves before it"
            ) from error
        board.push_uci(uci)
    return ChessGame(text, stops, boards)


def positions(
    games: Sequence[ChessGame], n_characters: int = 256, most: int = 20
) -> Positions:
    """Boards at the first full stops of each game, as the published scores take them.

    Args:
        games: of `read_pgn` or `of_moves`.
        n_characters: only full stops among so many first characters count.
        most: boards of a game.

    Raises:
        ValueError: a number is less than 1.
    """
    require_range("n_characters", n_characters, low=1)
    require_range("most", most, low=1)
    chosen = [
        (game.boards[i], number, stop)
        for number, game in enumerate(games)
        for i, stop in enumerate(game.stops[:most])
        if stop < n_characters
    ]
    boards, game, character = zip(*chosen, strict=True) if chosen else ((), (), ())
    return Positions(list(boards), np.array(game, int), np.array(character, int))
