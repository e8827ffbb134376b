"""Walks of hand-made models that know the path, miss a step or go through a wall."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.maze import Kruskal, MazeGame
from synthetic.maze.lattice import Maze, from_list
from synthetic.maze.tokens import FIRST_CELL, PADDING, PATH_END, Layout
from toymodels.maze import walks
from toymodels.transformer import Transformer

GAME = MazeGame.of(Kruskal(3))
# Cells 0 1 2 / 3 4 5 / 6 7 8, open 0-1, 1-2, 2-5, 5-4 (a corridor) and 1-4 (a loop).
PRESENT = np.zeros(12, bool)
PRESENT[[6, 7, 2, 9, 1]] = True
LAYOUT = Layout(3, 5, 9)


def judge(*cells, end=PATH_END):
    """The scores of one walk from 0 to 4, whose shortest path is 0 1 4."""
    path = [FIRST_CELL + cell for cell in cells]
    rest = LAYOUT.n_tokens - LAYOUT.first_step - len(path)
    tokens = [PADDING] * LAYOUT.first_step + path + [end] * rest
    maze = Maze(
        from_list(jnp.asarray(PRESENT)[None], 3),
        jnp.array([0]),
        jnp.array([4]),
        jnp.full((1, 9), -1),
    )
    found = walks.scores(LAYOUT, jnp.array([tokens]), maze)
    return {name for name, share in found.items() if share == 1}


def test_walks_are_told_apart():
    assert judge(0, 1, 4) == {"valid", "reached", "solved", "exact"}
    assert judge(0, 1, 2, 5, 4) == {"valid", "reached", "solved"}  # the long way
    assert judge(0, 1, 0, 1, 4) == {"valid", "reached", "solved"}  # and back
    assert judge(0, 1, 4, end=PADDING) == {"valid", "reached", "solved"}  # does not end
    assert judge(0, 3, 4) == {"reached"}  # through a wall
    assert judge(0, 4) == {"reached"}  # a jump
    assert judge(1, 4) == {"reached"}  # begins elsewhere
    assert judge(0, 1) == {"valid"}  # stops early
    assert judge() == set()


def test_a_walk_that_fills_all_slots_has_no_end():
    assert judge(0, 1, 4, 1, 4, 1, 4, 1, 4) == {"valid", "reached", "solved"}


@pytest.fixture(scope="module")
def drawn():
    return jax.jit(lambda key: GAME.sample(key, 64))(random.key(140))


def knows(drawn, wrong=()):
    """Logits of a model that has learned these sequences, but for the mazes in `wrong`,
    whose second cell it takes for the first once more.
    """
    tokens = drawn.tokens.at[jnp.array(wrong, int), GAME.layout.first_step + 1].set(
        drawn.tokens[jnp.array(wrong, int), GAME.layout.first_step]
    )
    following = jnp.roll(tokens, -1, axis=1)
    return lambda _: jax.nn.one_hot(following, GAME.layout.n_words)


def test_a_model_that_knows_the_path_walks_it(drawn):
    written = walks.write(knows(drawn), GAME.layout, drawn.tokens)
    np.testing.assert_array_equal(written, drawn.tokens)
    found = walks.scores(GAME.layout, written, drawn.maze)
    assert found == dict.fromkeys(("valid", "reached", "solved", "exact"), 1)


def test_one_wrong_step_costs_the_whole_path(drawn):
    written = walks.write(knows(drawn, range(16)), GAME.layout, drawn.tokens)
    found = walks.scores(GAME.layout, written, drawn.maze)
    assert found["exact"] == found["valid"] == found["solved"] == 48 / 64


def test_later_words_depend_on_what_was_written(drawn):
    """A model that counts on from the last token writes a row of successive words."""

    def counts(tokens):
        return jax.nn.one_hot((tokens + 1) % GAME.n_words, GAME.n_words)

    written = walks.write(counts, GAME.layout, drawn.tokens)
    steps = np.arange(1, GAME.n_tokens - GAME.layout.path_start)
    last = np.asarray(drawn.tokens)[:, GAME.layout.path_start, None]
    expected = (last + steps) % GAME.n_words
    np.testing.assert_array_equal(written[:, GAME.layout.first_step :], expected)


def test_prompts_stay_and_the_true_path_is_not_read(drawn):
    model = Transformer(random.key(141), GAME.n_words, GAME.n_tokens, 16, 1, 2)
    hidden = drawn.tokens.at[:, GAME.layout.first_step :].set(PATH_END)
    written, unread = (
        walks.write(lambda t: model(t).logits, GAME.layout, tokens)
        for tokens in (drawn.tokens, hidden)
    )
    np.testing.assert_array_equal(written, unread)
    prompt = slice(GAME.layout.first_step)
    np.testing.assert_array_equal(written[:, prompt], drawn.tokens[:, prompt])


def test_an_untrained_model_solves_nothing():
    model = Transformer(random.key(142), GAME.n_words, GAME.n_tokens, 16, 1, 2)
    found = walks.evaluate(random.key(143), model, GAME, 256, 128)
    assert set(found) == {"valid", "reached", "solved", "exact"}
    assert found["exact"] < 0.05
