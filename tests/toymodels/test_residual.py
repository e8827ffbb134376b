"""The stream of a player as a world: its contract, its rows, its labels."""

import jax
import numpy as np
import pytest

from synthetic import othello, random
from synthetic.othello import labels
from synthetic.testing import check
from toymodels.residual import OthelloMoves, OthelloResidual
from toymodels.transformer import Transformer

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
