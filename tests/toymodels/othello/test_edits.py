"""Edited boards against a few lines of plain Python; scores and shifts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import othello, random
from toymodels.othello import edits
from toymodels.transformer import Transformer

GAME = othello.OthelloGame(othello.Classic(4))
STEPS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


@pytest.fixture(scope="module")
def cases():
    return jax.jit(lambda key: edits.cases(key, GAME, 60))(random.key(1))


def flanked(board, square, colour):
    """The discs that a move takes; a board is a dictionary from (row, column) to +-1."""
    found = []
    for a, b in STEPS:
        line, (r, c) = [], (square[0] + a, square[1] + b)
        while board.get((r, c)) == -colour:
            line.append((r, c))
            r, c = r + a, c + b
        if board.get((r, c)) == colour:
            found += line
    return found


def legal(board, colour):
    squares = [divmod(i, 4) for i in range(16)]
    return {s for s in squares if s not in board and flanked(board, s, colour)}


def after(tokens):
    """The board and who moves next."""
    board, colour = {(1, 1): -1, (2, 2): -1, (1, 2): 1, (2, 1): 1}, 1
    for token in tokens:
        square = divmod(int(token), 4)
        for disc in flanked(board, square, colour):
            board[disc] = colour
        board[square] = colour
        colour = -colour if legal(board, -colour) else colour
    return board, colour


def squares_of(distribution):
    values = np.asarray(distribution)
    moves = {divmod(int(i), 4) for i in np.flatnonzero(values)}
    np.testing.assert_allclose(values[values > 0], 1 / len(moves), rtol=1e-6)
    return moves


def test_one_disc_is_turned_and_the_rules_hold_on_the_edited_board(cases):
    turned = []
    for i in range(60):
        board, colour = after(cases.tokens[i][: int(cases.time[i]) + 1])
        square = divmod(int(cases.square[i]), 4)
        assert (board[square] == colour) == bool(cases.mine[i])
        assert squares_of(cases.before[i]) == legal(board, colour)
        board[square] *= -1
        assert squares_of(cases.after[i]) == legal(board, colour) != set()
        turned.append(square)
    assert len(set(turned)) > 10


def test_shifts_act_at_the_last_move_of_each_case_alone(cases):
    model = Transformer(random.key(2), GAME.n_words, GAME.n_tokens, 12, 2, 2)
    model = jax.tree.map(lambda leaf: 10 * leaf if leaf.ndim > 1 else leaf, model)
    plain = jax.jit(lambda m: m(cases.tokens))(model)
    case = np.arange(60)
    same = edits.logits_after(model, cases, {1: jnp.zeros((60, 12))})
    np.testing.assert_allclose(same, plain.logits[case, cases.time], atol=1e-4)
    # At the last site nothing follows but the norm and the unembedding.
    shift = jax.random.normal(random.key(3), (60, 12))
    moved = edits.logits_after(model, cases, {4: shift})
    x = np.asarray(plain.residual[4, case, cases.time] + shift)
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(moved, x @ np.asarray(model.W_U[...]), atol=1e-3)


def test_outcomes_by_hand(cases):
    """Legal before: words 0, 1. Legal after the edit: words 1, 2, 3."""
    before = jnp.array([[0.5, 0.5, 0, 0, 0]] * 2)
    exact = jnp.array([[0, 1 / 3, 1 / 3, 1 / 3, 0]] * 2)
    some = cases._replace(before=before, after=exact)
    # A player of the true board ranks 0 and 1 first, then 4; one of the edited is perfect.
    logits = jnp.array([[5.0, 5, 0, 0, 1], [-1e9, 2, 2, 2, -1e9]])
    found = edits.outcome(logits, some)
    assert found.errors.tolist() == [4, 0]
    assert found.changed.tolist() == [3, 3]
    assert found.changed_wrong.tolist() == [3, 0]
    log_p = np.log(np.exp(logits[0]) / np.exp(logits[0]).sum())
    np.testing.assert_allclose(found.kl[0], -log_p[1:4].mean() - np.log(3), rtol=1e-5)
    assert found.kl[1] == pytest.approx(0, abs=1e-6)


def test_directions_lead_from_mine_to_theirs():
    """Square 0 writes +2 where mine and -1 where theirs, square 1 nothing."""
    mine = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    theirs = np.array([[0, 1], [0, 0], [1, 1], [0, 0]], bool)
    x = jnp.array([[2.0, 7], [2, 7], [-1, 7], [0, 7]])
    means = edits.mean_differences(x, mine, theirs)
    np.testing.assert_allclose(means[0], [-3, 0])
    np.testing.assert_allclose(means[1], [0.5 - 1, 0])
    square = jnp.array([0, 0])
    shifts = edits.toward_theirs(jnp.array([True, False]), means, square)
    np.testing.assert_allclose(shifts, [[-3, 0], [3, 0]])
