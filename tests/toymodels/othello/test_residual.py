"""The stream of a player as a world: its contract, its rows, its labels."""

import chex
import jax
import numpy as np
import pytest

from synthetic import othello, random
from synthetic.maze import Kruskal, MazeGame
from synthetic.othello import labels
from synthetic.testing import check
from toymodels.maze.residual import MazeResidual
from toymodels.othello.residual import OthelloMoves, OthelloResidual
from toymodels.transformer import Transformer, probes

GAME = othello.OthelloGame(othello.Classic(4))
FAMILIES = ("empty", "legal", "mobility")


def world(**settings):
    model = Transformer(random.key(120), GAME.n_words, GAME.n_tokens, 12, 1, 2)
    return OthelloResidual(GAME, model, **{"families": FAMILIES, "site": 2} | settings)


@pytest.mark.slow
def test_it_keeps_the_contract_of_a_world():
    check(world(slots=3), random.key(121))


def test_rows_are_the_stream_and_the_labels_of_the_same_positions():
    """With a slot for every position, full games give all of theirs in order."""
    w = world(slots=11)
    x, features = jax.jit(lambda key: w.streams(key, 20))(random.key(122))
    key_games = jax.random.split(random.key(122))[0]
    sequences = jax.jit(lambda key: GAME.sample(key, 20))(key_games)
    residual = np.asarray(w.model(sequences.tokens).residual)
    position = jax.jit(othello.positions)(sequences.games)
    truth = np.asarray(labels.values(GAME.rules, position, FAMILIES))[:, :11]
    full = np.asarray(sequences.weights).all(axis=1)
    assert full.sum() > 5
    found = np.asarray(x).reshape(3, 20, 11, 12)
    np.testing.assert_allclose(found[:, full], residual[:, full], atol=1e-6)
    np.testing.assert_array_equal(
        np.asarray(features).reshape(20, 11, -1)[full], truth[full]
    )
    batch = jax.jit(lambda key: w.sample(key, 215))(random.key(122))
    np.testing.assert_allclose(batch.x, x[2, :215], atol=1e-6)


def test_short_games_never_give_a_position_without_a_next_move():
    w = world(slots=11)
    _, features = jax.jit(lambda key: w.streams(key, 200))(random.key(123))
    assert (np.asarray(features)[:, -1] >= 1).all()


def test_features_have_names_and_parents():
    w = world()
    assert w.n_features == len(w.names) == 16 + 16 + 1
    assert w.names[[int(p) for p in w.parents].index(5)] == "legal b2"
    assert w.names[5] == "empty b2"


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="site is 3, expected a number in"):
        world(site=3)
    with pytest.raises(ValueError, match="slots is 12, expected a number in"):
        world(slots=12)
    with pytest.raises(ValueError, match="there is no family 'kings'"):
        world(families=("kings",))


def test_moves_are_counted_beside_the_labels_of_the_same_positions():
    moves = OthelloMoves(GAME, FAMILIES, slots=11)
    x, features = jax.jit(lambda key: moves.streams(key, 20))(random.key(122))
    w = world(slots=11)
    expected = jax.jit(lambda key: w.streams(key, 20))(random.key(122))[1]
    np.testing.assert_array_equal(features, expected)
    played, last, length = np.split(np.asarray(x[0]), [17, 34], axis=1)
    squares = np.arange(16)
    # Empty squares are those that no move filled, but for the four in the centre.
    centre = [5, 6, 9, 10]
    filled = np.isin(squares, centre) | (played[:, :16] > 0)
    np.testing.assert_array_equal(np.asarray(features)[:, :16], ~filled)
    assert (last.sum(1) == 1).all()
    assert (played[last > 0] == 1).all()
    np.testing.assert_array_equal(played.sum(1), length.argmax(1) + 1)


MAZES = MazeGame.of(Kruskal(3))


def mazes(token=MAZES.layout.path_start, **settings):
    model = Transformer(random.key(124), MAZES.n_words, MAZES.n_tokens, 12, 1, 2)
    return MazeResidual(MAZES, model, token, **settings)


@pytest.mark.slow
def test_mazes_keep_the_contract_of_a_world():
    check(mazes(site=2), random.key(125))


def test_rows_are_the_stream_at_one_token_and_the_connections():
    w = mazes(token=7, site=2)
    x, present = jax.jit(lambda key: w.streams(key, 20))(random.key(126))
    drawn = jax.jit(lambda key: MAZES.sample(key, 20))(random.key(126))
    residual = w.model(drawn.tokens).residual
    np.testing.assert_allclose(x, residual[:, :, 7], atol=1e-6)
    down, right = np.moveaxis(np.asarray(drawn.maze.connections), 1, 0)
    expected = np.concatenate(
        [down[:, :2].reshape(20, -1), right[..., :2].reshape(20, -1)], axis=1
    )
    np.testing.assert_array_equal(present, expected)
    assert w.n_features == len(w.names) == 12
    assert w.names[0] == "connection (0,0)-(1,0)"
    batch = jax.jit(lambda key: w.sample(key, 20))(random.key(126))
    np.testing.assert_allclose(batch.x, x[2], atol=1e-6)


def test_tokens_are_swept_without_a_retrace():
    key = random.key(129)
    tokens = jax.jit(lambda key: MAZES.sample(key, 4).tokens)(jax.random.clone(key))
    read = jax.jit(chex.assert_max_traces(lambda w, key: w.streams(key, 4)[0], n=1))
    for token in (3, 7):
        w = mazes(token)
        expected = w.model(tokens).residual[:, :, token]
        np.testing.assert_allclose(read(w, jax.random.clone(key)), expected, atol=1e-6)


def test_the_embedding_of_a_token_that_mazes_share_tells_the_base_rate():
    """A tree on n x n cells has n^2 - 1 of 2n(n - 1) connections. Each is open more often
    than not: as often as its effective resistance, above a half on a finite lattice. So
    "all open" is the best answer, right in (n + 1) / 2n of the cases.
    """
    w = mazes()
    fitted = probes.fit(random.key(127), w, 4_000, block=2_000)
    found = probes.feature_scores(random.key(128), fitted, w, 4_000, 2_000)
    assert found.accuracy[0] == pytest.approx(4 / 6, abs=1e-5)
    assert found.base == pytest.approx(4 / 6, abs=1e-5)
    assert found.whole[0] == 0


def test_a_place_outside_the_sequence_is_refused():
    with pytest.raises(ValueError, match="site is 3, expected a number in"):
        mazes(site=3)
    with pytest.raises(ValueError, match="token is 51, expected a number in"):
        mazes(token=MAZES.n_tokens)
