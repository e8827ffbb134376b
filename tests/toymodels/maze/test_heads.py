"""Attention and next steps of hand-made models, counted in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from synthetic import random
from synthetic.maze import Kruskal, MazeGame
from synthetic.maze.tokens import FIRST_CELL
from toymodels.maze import heads
from toymodels.transformer import Output, Transformer

GAME = MazeGame.of(Kruskal(3))
PATH = slice(GAME.layout.first_step, GAME.layout.first_step + GAME.layout.n_path)


@struct.dataclass
class Looks:
    """One layer; the first head looks at all tokens alike, the second one token back."""

    n_layers: int = struct.field(pytree_node=False, default=1)

    def __call__(self, tokens):
        words = jax.nn.one_hot(tokens, GAME.n_words)
        return Output(words, jnp.stack(3 * [words]))

    def attention(self, stream, layer):
        batch, n = stream.shape[:2]
        alike = jnp.tri(n) / jnp.arange(1, n + 1)[:, None]
        pattern = jnp.stack([alike, jnp.eye(n, k=-1)])
        return jnp.broadcast_to(pattern, (batch, 2, n, n)), None


@pytest.fixture(scope="module")
def drawn():
    return jax.jit(lambda key: GAME.sample(key, 64))(random.key(160))


def test_a_look_back_finds_the_cell_that_the_path_came_from():
    """It is an open neighbour, never a walled one; the first cell came from none."""
    found = heads.neighbours(random.key(160), Looks(), GAME, 64)
    drawn = jax.jit(lambda key: GAME.sample(key, 64))(random.key(160))
    path = np.asarray(drawn.maze.path)
    degree = np.asarray(drawn.labels.degree)
    n_open = n_back = 0
    for cells, degrees in zip(path, degree, strict=True):
        leaving = cells[cells >= 0][:-1]
        n_open += degrees[leaving].sum()
        n_back += len(leaving) - 1
    assert found.open[0, 1] == pytest.approx(n_back / n_open, rel=1e-5)
    assert found.walled[0, 1] == 0
    assert found.score[0, 1] > found.null + 0.1
    assert found.score[0, 0] == pytest.approx(found.null, abs=1e-6)


def logits(words):
    return jax.nn.one_hot(words, GAME.n_words)


def test_steps_are_open_or_best_or_neither(drawn):
    following = jnp.roll(drawn.tokens, -1, axis=1)
    assert heads.steps(GAME, drawn, logits(following)) == (1, 1)
    assert heads.steps(GAME, drawn, logits(drawn.tokens)) == (0, 0)  # stays
    # One step back is open from all cells but the first, and best from none.
    back = jnp.roll(drawn.tokens, 1, axis=1)
    leaves = np.asarray(heads.leaves(GAME, drawn))
    found = heads.steps(GAME, drawn, logits(back))
    assert found.legal == pytest.approx(leaves[:, 1:].sum() / leaves.sum(), rel=1e-5)
    assert found.best == 0


def test_a_head_that_writes_nothing_is_not_missed_and_others_are():
    model = Transformer(random.key(161), GAME.n_words, GAME.n_tokens, 16, 1, 2)
    model = jax.tree.map(lambda w: 30 * w if w.ndim > 1 else w, model)
    W = model.block_0.attention.W_out
    W[...] = W[...].at[8:].set(0)
    whole, silenced = heads.ablated(random.key(162), model, GAME, 64)
    assert silenced.legal.shape == silenced.best.shape == (1, 2)
    assert silenced.legal[0, 1] == whole.legal
    assert silenced.best[0, 1] == whole.best
    assert silenced.legal[0, 0] != whole.legal


def test_the_tokens_of_the_path_lose_their_differences_alone():
    """One layer, one head: with it silenced, tokens of equal words and places are equal."""
    game = MazeGame.of(Kruskal(3))
    model = Transformer(random.key(163), game.n_words, game.n_tokens, 16, 1, 1)
    drawn = jax.jit(lambda key: game.sample(key, 32))(random.key(164))
    place = game.layout.first_step
    first = np.asarray(drawn.tokens[:, place])
    assert (first == np.asarray(drawn.maze.origin) + FIRST_CELL).all()
    whole = model(drawn.tokens)
    written = model.attention(whole.residual[0], 0)[1][:, :, 0]
    used = heads._walked(game, drawn)
    assert used[:, place].all()
    assert not used[:, :place].any()
    np.testing.assert_array_equal(used[:, PATH], drawn.maze.path >= 0)
    mean = np.asarray(written)[np.asarray(used)].mean(0)
    delta = np.where(np.asarray(used)[..., None], np.asarray(written) - mean, 0)
    after = np.asarray(model(drawn.tokens, {1: lambda x: x - delta}).residual[1])
    same = np.flatnonzero(first == first[0])
    np.testing.assert_allclose(after[same, place], after[[0] * len(same), place], atol=1e-5)
