"""Files in the WTHOR format, written here byte by byte."""

import struct

import numpy as np
import pytest

from synthetic import othello
from synthetic.othello import wthor

# The opening of the first game of 2023: f5 d6 c3 d3 c4 f4 f6 f3 g4 g3.
OPENING = [56, 64, 33, 34, 43, 46, 66, 36, 47, 37]


def file_of(games, *, n_games=None, n_names=0, size=8, kind=0):
    n_games = len(games) if n_games is None else n_games
    ends = (size, kind, 24, 0)
    header = struct.pack("<4BIHH4B", 20, 26, 2, 23, n_games, n_names, 2023, *ends)
    records = [
        struct.pack("<3H2B60s", 9, 3344, 2589, 37, 29, bytes(moves)) for moves in games
    ]
    return header + b"".join(records)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "games.wtb"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("size", [0, 8])
def test_games_are_read(write, size):
    found = wthor.read(write(file_of([OPENING, OPENING[:3]], size=size)))
    assert found.squares.shape == (60, 2)
    letters = [f"{'abcdefgh'[s % 8]}{s // 8 + 1}" for s in found.squares[:10, 0]]
    assert letters == ["f5", "d6", "c3", "d3", "c4", "f4", "f6", "f3", "g4", "g3"]
    assert (found.squares[10:, 0] == 64).all()
    assert (found.squares[:, 1] == 64).sum() == 57
    assert found.year == 2023
    assert [int(x[0]) for x in found[2:]] == [37, 9, 3344, 2589]


def test_games_are_replayed(write):
    found = wthor.read(write(file_of([OPENING])))
    games = othello.replay(othello.Classic(8), found.squares)
    assert int(np.bitwise_count(np.asarray(games.own[9] | games.opponent[9])).sum()) == 14
    wrong = wthor.read(write(file_of([OPENING, [11]])))
    with pytest.raises(ValueError, match="move 0 of game 1 is square 0"):
        othello.replay(othello.Classic(8), wrong.squares)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "has 5 bytes, expected a header of 16"),
        (file_of([OPENING])[:-1], "has 83 bytes, expected 84 for its 1 games"),
        (file_of([OPENING], n_games=2), "has 84 bytes, expected 152 for its 2 games"),
        (file_of([OPENING], n_names=7), "holds 7 names, kind 0 and board size 8"),
        (file_of([OPENING], size=10), "kind 0 and board size 10, expected games"),
        (file_of([OPENING], kind=1), "kind 1 and board size 8, expected games"),
        (file_of([[56, 99]]), "move 1 of game 0 in .* is 99, expected 10 row"),
        (file_of([[56, 64], [56, 0, 33]]), "move 2 of game 1 in .* is 33"),
        (file_of([[56, 60]]), "move 1 of game 0 in .* is 60"),
    ],
)
def test_a_broken_file_is_refused_with_one_sentence(write, content, message):
    with pytest.raises(wthor.WthorError, match=message) as caught:
        wthor.read(write(content))
    assert "\n" not in str(caught.value)
