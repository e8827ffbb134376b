"""Properties of chess boards, by hand; and the board scores on random games."""

import numpy as np
import pytest

from synthetic import random
from synthetic.chess import of_moves, positions, properties
from toymodels.scores import detection

chess = pytest.importorskip("chess")


def true_names(fen, *families):
    found = properties.values([chess.Board(fen)], families)[0]
    named = zip(properties.names(families), found, strict=True)
    return {name for name, is_true in named if is_true}


@pytest.mark.parametrize(
    ("fen", "expected"),
    [
        # Black's rook checks along the e file.
        ("4r2k/8/8/8/8/8/8/4K3 w - - 0 1", {"check"}),
        # The bishop on e2 shields its king: pinned.
        ("4r2k/8/8/8/8/8/4B3/4K3 w - - 0 1", {"pin"}),
        # Both castling rights; the queen may take g7's neighbour, the queen on d8.
        (
            "3q3k/8/8/8/8/8/8/R3KQ1R w KQ - 0 1",
            {"queen", "castling", "castling king side", "castling queen side", "can check"},
        ),
        # A knight attacks queen and rook.
        ("r3q2k/2N5/8/8/8/8/8/6K1 w - - 0 1", {"fork", "can take queen"}),
        # A pawn attacks two knights, worth more; a rook two pawns, worth less.
        ("7k/8/8/2n1n3/3P4/8/8/6K1 w - - 0 1", {"fork"}),
        ("7k/8/p7/8/8/8/8/R3p1K1 w - - 0 1", set()),
        ("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 2", {"en passant"}),
        # Knights on b1 and f3 both reach d2; the two bishops are a pair.
        ("4k3/8/8/8/8/5N2/8/1N2K1BB w - - 0 1", {"ambiguous move", "bishop pair"}),
        ("k7/8/8/3q4/4P3/8/8/4K3 w - - 0 1", {"can take queen"}),
    ],
)
def test_single_properties_by_hand(fen, expected):
    single = [name for name, family in properties.FAMILIES.items() if family.names == [""]]
    assert true_names(fen, *single) == expected


def test_maps_of_squares_by_hand():
    """A pawn on e4 goes to e5, the king to five squares; the rook attacks its lines."""
    fen = "7k/8/8/r7/4P3/8/8/4K3 w - - 0 1"
    assert true_names(fen, "destination") == {
        f"destination {s}" for s in ("e5", "d1", "d2", "e2", "f1", "f2")
    }
    rook = {f"{file}5" for file in "bcdefgh"} | {f"a{rank}" for rank in "1234678"}
    king = {"g8", "g7", "h7"}
    assert true_names(fen, "attacked") == {f"attacked {s}" for s in rook | king}


def test_pieces_that_have_not_moved_do_not_count():
    (board,) = of_moves(["g1f3", "e7e5", "f3g1"]).boards[1:]
    moved = properties.values([board], ["moved piece"])[0]
    assert {
        n for n, v in zip(properties.names(["moved piece"]), moved, strict=True) if v
    } == {
        "moved piece N f3",
        "moved piece p e5",
    }
    assert properties.values([board], ["piece"]).sum() == 32


def test_sixty_four_of_the_moved_pieces_are_impossible():
    families = properties.LOW_LEVEL
    possible = properties.possible(families)
    assert len(possible) == 768
    # 32 starts and, not among them, pawns on the first and the last rank.
    assert (~possible).sum() == 64
    assert not properties.values(positions(random_games(30)).boards, families)[
        :, ~possible
    ].any()


def random_games(n, plies=60, seed=0):
    generator = np.random.default_rng(seed)
    games = []
    for _ in range(n):
        board = chess.Board()
        while len(board.move_stack) < plies and (moves := list(board.legal_moves)):
            board.push(moves[generator.integers(len(moves))])
        games.append(of_moves(move.uci() for move in board.move_stack))
    return games


def test_the_board_scores_run_on_chess():
    """Latents that are the properties cover all of them; one that is always on, none."""
    families = (*properties.LOW_LEVEL, *properties.STRATEGY)
    train, test = (
        properties.values(positions(random_games(40, seed=seed)).boards, families)
        for seed in (1, 2)
    )
    # Two properties seen once, in the same row, cannot be told apart.
    _, distinct = np.unique(train, axis=1, return_index=True)
    train, test = train[:, distinct], test[:, distinct]
    for codes, expected in ((np.asarray, 1.0), (np.ones_like, 0.0)):
        seen, held_out = (
            detection.Sample(codes(half).astype(np.float32), half) for half in (train, test)
        )
        chosen = detection.select(detection.count(seen))
        found = detection.corrected(random.key(0), chosen, held_out)["corrected"]
        assert found.value == pytest.approx(expected, abs=1e-6)


def test_an_unknown_family():
    with pytest.raises(ValueError, match="family is 'rook', expected one of moved piece, "):
        properties.values([], ["rook"])
