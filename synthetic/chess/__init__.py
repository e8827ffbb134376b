"""Chess games as a language model reads them, and what is true of the board at each move.

    games = read_pgn("games.pgn")
    sample = positions(games)
    present = properties.values(sample.boards, ("moved piece", "check"))

Games come from PGN files, with the rules by `chess` (python-chess), an optional package:
`pip install chess`. There is no generator here that trains a model; the properties are for
the board scores (`toymodels.scores.detection`, `board_reconstruction`).
"""

from synthetic.chess.games import (
    VOCABULARY,
    ChessGame,
    PgnError,
    Positions,
    of_moves,
    positions,
    read_pgn,
)

__all__ = [
    "VOCABULARY",
    "ChessGame",
    "PgnError",
    "Positions",
    "of_moves",
    "positions",
    "read_pgn",
]
