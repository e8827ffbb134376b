"""Chess games from PGN: text, boards, and files that are refused in one sentence."""

import sys

import numpy as np
import pytest

from synthetic.chess import VOCABULARY, PgnError, of_moves, positions, read_pgn

chess = pytest.importorskip("chess")

MATE = """[Event "A short one"]
[Result "0-1"]

1. f3 {weak} e5 2. g4 $2 (2. e4 Nc6) Qh4# 0-1

[Event "Another"]

1. e4 e5 2. Nf3 Nc6 3. Bc4 Nf6 4. O-O *
"""


@pytest.fixture
def pgn(tmp_path):
    def write(content):
        path = tmp_path / "games.pgn"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_text_and_boards(pgn):
    mate, other = read_pgn(pgn(MATE))
    assert mate.text == ";1.f3 e5 2.g4 Qh4#"
    assert other.text == ";1.e4 e5 2.Nf3 Nc6 3.Bc4 Nf6 4.O-O"
    assert set(mate.text + other.text) <= set(VOCABULARY)
    assert [mate.text[stop] for stop in mate.stops] == [".", "."]
    assert [board.fen() for board in mate.boards] == [
        chess.STARTING_FEN,
        "rnbqkbnr/pppp1ppp/8/4p3/8/5P2/PPPPP1PP/RNBQKBNR w KQkq - 0 2",
    ]
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 32


def test_positions_are_the_first_full_stops_of_each_game(pgn):
    games = read_pgn(pgn(MATE))
    found = positions(games, n_characters=18, most=3)
    np.testing.assert_array_equal(found.game, [0, 0, 1, 1])
    np.testing.assert_array_equal(found.character, [2, 10, 2, 10])
    assert found.boards[3] == games[1].boards[1]
    everything = positions(games, most=3)
    np.testing.assert_array_equal(everything.game, [0, 0, 1, 1, 1])
    assert positions([]).boards == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no games, expected PGN"),
        (b"\xff\xfe\x00game", "is not UTF-8 text"),
        ("1. e4 e5 2. Nf", "ends with 'Nf', expected a result .* was cut"),
        ("1. e4 e5 2. Ke3 *", "game 1 of .* cannot be read .* expected legal moves"),
        (MATE + "\n1. e4 e4 *\n", "game 3 of .* cannot be read"),
        ('[FEN "7k/8/8/8/8/8/8/4K2R w K - 0 1"]\n\n1. O-O *\n', "a position of its own"),
        ('[Event "None"]\n\n*\n', "has no moves"),
    ],
)
def test_a_file_that_is_refused(pgn, content, message):
    with pytest.raises(PgnError, match=message):
        read_pgn(pgn(content))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PgnError, match=r"cannot be opened .* expected a PGN file"):
        read_pgn(tmp_path / "missing.pgn")


def test_an_illegal_move():
    with pytest.raises(ValueError, match="move 2 is e2e4, expected a legal move at "):
        of_moves(["e2e4", "e2e4"])


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(ImportError, match=r"chess is not installed, .* pip install chess"):
        of_moves(["e2e4"])
