"""The sizes that the presets state, and mazes that training never shows."""

import jax
import numpy as np
import pytest

from synthetic import random
from synthetic.maze import Kruskal, MazeGame, holdout
from toymodels.maze import presets


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        (presets.tiny, 0.106),
        (presets.small, 0.159),
        (presets.medium, 0.213),
        (presets.full, 4.81),
    ],
)
def test_presets_have_the_stated_number_of_weights(preset, millions):
    shapes = jax.eval_shape(preset().init, random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == pytest.approx(
        millions * 1e6, rel=0.01
    )


def test_held_out_mazes_are_never_trained_on():
    training = presets.game(3)
    test = presets.held_out(training)
    sample = jax.jit(lambda game, key: game.sample(key, 4_096))
    seen, asked = sample(training, random.key(150)), sample(test, random.key(151))
    shown, unseen = (np.asarray(s.maze.connections) for s in (seen, asked))
    assert not holdout.is_shared(unseen, shown).any()
    # Nearly all 192 spanning trees of 3 x 3 cells turn up, each in one of the two.
    trees = [len(holdout.first_of_each(part)) for part in (shown, unseen)]
    assert sum(trees) == pytest.approx(192, abs=2)
    # The path alone counts on the test part, the prompt a tenth in training.
    before = slice(training.layout.path_start)
    assert not np.asarray(asked.weights[:, before]).any()
    np.testing.assert_allclose(seen.weights[:, before], 0.1)


def test_a_game_that_shows_all_mazes_holds_none_out():
    with pytest.raises(ValueError, match="the law of the game is Kruskal, expected a Part"):
        presets.held_out(MazeGame.of(Kruskal(3)))
