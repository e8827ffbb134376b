"""Sequences of the game: tokens, exact targets, weights, names of squares."""

import jax
import numpy as np
import pytest

from synthetic import othello, random


def drawn(rules, n_games=12):
    game = othello.OthelloGame(rules)
    found = jax.jit(lambda key: game.sample(key, n_games))(random.key(106))
    return game, jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("rules", [othello.Classic(4), othello.iago(4)])
def test_targets_are_uniform_over_the_legal_moves_by_their_names(rules):
    game, found = drawn(rules)
    assert found.tokens.shape == (12, game.n_tokens) == (12, 11)
    assert found.targets.shape == (12, 11, game.n_words) == (12, 11, 17)
    names = np.array([*(rules.token_of_square or range(16)), 16])
    np.testing.assert_array_equal(found.tokens, names[found.games.square[:-1].T])
    for g, t in np.ndindex(12, 11):
        bits = found.games.legal[t, :, g]
        legal = np.unpackbits(bits[:, None], axis=1, bitorder="little")[:, :4].reshape(-1)
        expected = np.zeros(17)
        expected[names[np.flatnonzero(legal)]] = 1 / max(1, legal.sum())
        np.testing.assert_allclose(found.targets[g, t], expected, rtol=1e-6)
        assert found.weights[g, t] == legal.any()
        if t < 10 and legal.any():
            assert expected[found.tokens[g, t + 1]] > 0


def test_names_are_a_permutation_and_nothing_else_changes():
    _, plain = drawn(othello.Classic(4))
    _, renamed = drawn(othello.iago(4))
    names = np.array([(47 * i + 13) % 16 for i in range(16)] + [16])
    assert sorted(names) == list(range(17))
    np.testing.assert_array_equal(renamed.tokens, names[plain.tokens])
    np.testing.assert_array_equal(renamed.targets[..., names], plain.targets)
    np.testing.assert_array_equal(renamed.weights, plain.weights)


def test_the_floor_is_the_mean_entropy():
    _, found = drawn(othello.NoMidFlip(4))
    n_legal = (found.targets > 0).sum(-1)
    expected = np.log(n_legal[found.weights > 0]).mean()
    np.testing.assert_allclose(othello.entropy_floor(found), expected, rtol=1e-5)


def test_the_rules_are_static_and_games_equal_where_rules_do():
    a, b = (othello.OthelloGame(othello.iago(4)) for _ in range(2))
    assert jax.tree.leaves(a) == []
    assert jax.tree.structure(a) == jax.tree.structure(b)
