"""Every position of random games against a referee, published counts, statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from synthetic import othello, random
from synthetic.othello import board

VARIANTS = {
    "classic": othello.Classic,
    "no_mid_flip": othello.NoMidFlip,
    "del_flank": othello.DelFlank,
}


@functools.cache
def played(rules, n_games, seed=100):
    """Random games as NumPy arrays."""
    play = jax.jit(lambda key: othello.random_games(key, rules, n_games))
    return jax.tree.map(np.asarray, play(random.key(seed)))


def squares_of(packed):
    """A packed set [row] as pairs."""
    bits = np.unpackbits(packed[:, None], axis=-1, bitorder="little")
    return {(int(r), int(c)) for r, c in np.argwhere(bits)}


def require_refereed(found, size, referee, variant, n_games):
    """Follows each game by the referee and compares everything that was recorded."""
    n_passes = 0
    for g in range(n_games):
        game = referee(size, variant)
        for t, square in enumerate(found.square[:, g]):
            if square == size**2:
                assert not game.moves()
                assert not found.legal[t:, :, g].any()
                assert not found.taken[t:, :, g].any()
                assert (found.square[t:, g] == size**2).all()
                break
            mover = game.to_move
            taken = game.play(divmod(int(square), size))
            n_passes += game.to_move == mover and bool(game.moves())
            assert squares_of(found.taken[t, :, g]) == taken
            assert squares_of(found.own[t, :, g]) == game.of(game.to_move)
            assert squares_of(found.opponent[t, :, g]) == game.of(-game.to_move)
            assert squares_of(found.legal[t, :, g]) == set(game.moves())
            assert found.black[t, g] == (game.to_move == 1)
    return n_passes


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [4, 6, 8])
def test_positions_are_the_referee_s(size, variant, referee):
    n_games = 6 if size == 8 else 12
    found = played(VARIANTS[variant](size), n_games)
    n_passes = require_refereed(found, size, referee, variant, n_games)
    # On 4 x 4 boards more than half of all games have a pass.
    assert n_passes > 0 or (size, variant) != (4, "classic")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "variant", "n_games"),
    [
        (8, "classic", 500),
        (6, "classic", 1000),
        (4, "classic", 2000),
        (6, "no_mid_flip", 300),
        (6, "del_flank", 150),
    ],
)
def test_positions_of_thousands_of_games_are_the_referee_s(size, variant, n_games, referee):
    found = played(VARIANTS[variant](size), n_games, seed=101)
    require_refereed(found, size, referee, variant, n_games)


def test_perft():
    """Positions by depth from the start, passes counted as plies: published counts."""
    rules = othello.Classic(8)

    @jax.jit
    def children(own, opponent):
        """[row, board] to the boards after each of 64 moves, and which are legal."""
        frames = board.framed(own), board.framed(opponent)
        legal = rules.legal(*frames)

        def after(square):
            placed = legal & board.pack(square.reshape(8, 8))[:, None]
            taken = rules.taken(*frames, board.framed(placed))
            return rules.after(own, opponent, placed, taken)

        mine, theirs = lax.map(after, jnp.eye(64, dtype=bool))
        return theirs, mine, board.planes(legal).T > 0

    def pad(x):
        """To one shape for all depths; a board without discs has no moves."""
        return np.concatenate([x, np.zeros((8200 - len(x), 8), np.uint8)]).T

    own, opponent = (np.asarray(discs)[None] for discs in rules.start())
    counts = []
    for _ in range(7):
        found = children(pad(own), pad(opponent))
        own_after, opponent_after, legal = (np.asarray(x) for x in found)
        own_after, opponent_after = own_after.swapaxes(1, 2), opponent_after.swapaxes(1, 2)
        assert legal.any(axis=0)[: len(own)].all()  # no pass before the eighth ply
        counts.append(int(legal.sum()))
        own, opponent = own_after[legal], opponent_after[legal]
    assert counts == [4, 12, 56, 244, 1396, 8200, 55092]


def test_moves_are_uniform_over_the_legal_ones():
    """After the first move, by symmetry always three replies: each in a third of games."""
    found = played(othello.Classic(6), 3000)
    assert (np.bitwise_count(found.legal[0]).sum(axis=0) == 3).all()
    counts = np.bincount(found.square[0])
    # Four first moves: binomial with n = 3000, p = 1/4 has a deviation of 23.7.
    assert np.abs(counts[counts > 0] - 750).max() < 5 * 23.7
    for first in np.flatnonzero(counts):
        replies = np.bincount(found.square[1, found.square[0] == first])
        n = replies.sum()
        deviation = np.sqrt(n * 2 / 9)
        assert np.abs(replies[replies > 0] - n / 3).max() < 5 * deviation


# Random games by an independent implementation, a million or so of each size: the mean of
# log(number of legal moves) over positions with a next move, the share of games of full
# length, the mean length and the share of games with a pass.
MEASURED = {
    4: (0.8328, 0.84, 11.7, 0.55),
    6: (1.5353, 0.964, 31.95, 0.395),
    8: (2.0105, 0.99, 59.99, 0.346),
}


@pytest.mark.parametrize("size", MEASURED)
def test_statistics_of_random_games(size):
    found = played(othello.Classic(size), 3000)
    floor, full, length, passes = MEASURED[size]
    count = np.bitwise_count(found.legal).sum(axis=1)
    per_game = np.log(np.maximum(count, 1)).sum(axis=0) / (count > 0).sum(axis=0)
    # Games are independent: five standard errors, and half of the last digit.
    error = 5 * per_game.std() / np.sqrt(3000) + 5e-5
    sequences = othello.OthelloGame(othello.Classic(size)).describe(found)
    assert float(othello.entropy_floor(sequences)) == pytest.approx(floor, abs=error)
    lengths = (found.square < size**2).sum(axis=0)
    n_time = othello.n_moves(othello.Classic(size))
    assert (lengths == n_time).mean() == pytest.approx(full, abs=0.03)
    assert lengths.mean() == pytest.approx(length, abs=0.1)
    passed = np.asarray(othello.positions(found).passed)
    assert passed.any(axis=1).mean() == pytest.approx(passes, abs=0.04)


def test_replay_gives_the_same_games():
    rules = othello.NoMidFlip(6)
    found = played(rules, 12)
    again = othello.replay(rules, found.square)
    jax.tree.map(np.testing.assert_array_equal, again, found)


def test_replay_refuses_an_illegal_move_and_ends_where_the_list_ends():
    rules = othello.Classic(4)
    squares = played(rules, 12).square.copy()
    squares[5:, 3] = 16
    cut = othello.replay(rules, squares)
    assert (cut.square[5:, 3] == 16).all()
    assert cut.legal[4, :, 3].any()
    assert not cut.legal[5:, :, 3].any()
    np.testing.assert_array_equal(cut.own[5:, :, 3], [cut.own[4, :, 3]] * 7)
    squares[2, 1] = squares[0, 1]
    with pytest.raises(ValueError, match="move 2 of game 1 is square"):
        othello.replay(rules, squares)
    with pytest.raises(ValueError, match=r"a square is 17, expected a number in \[0, 16\]"):
        othello.replay(rules, np.full((12, 1), 17))


def test_keys_decide_and_vmap_agrees():
    rules = othello.Classic(4)
    keys = jax.random.split(random.key(102), 2)
    play = jax.jit(lambda key: othello.random_games(key, rules, 8))
    alone = [play(key) for key in keys]
    together = jax.jit(jax.vmap(lambda key: othello.random_games(key, rules, 8)))(
        jax.random.clone(keys)
    )
    for i, games in enumerate(alone):
        for one, many in zip(games, together, strict=True):
            np.testing.assert_array_equal(one, many[i])
    assert not np.array_equal(alone[0].square, alone[1].square)


def test_what_is_no_board_is_refused():
    with pytest.raises(ValueError, match="size is 5, expected one of"):
        othello.Classic(5)
    with pytest.raises(ValueError, match="token_of_square holds 2 names"):
        othello.DelFlank(4, (0, 1))
    with pytest.raises(ValueError, match="n_games is 0"):
        othello.random_games(random.key(0), othello.Classic(4), 0)
