"""The loss and its metrics by hand, the floor, and a short run that learns legal moves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.test_util import check_grads

from synthetic import othello, random
from synthetic.maze import MazeGame, Percolation
from toymodels.training.checkpoints import DirectoryCheckpoints
from toymodels.transformer import Transformer, next_token
from toymodels.transformer.next_token import Lesson

GAME = othello.OthelloGame(othello.Classic(4))


def small_model(key, game=GAME, n_context=11):
    n_words = game.n_words if hasattr(game, "n_words") else game.layout.n_words
    return Transformer(random.key(key), n_words, n_context, 16, 1, 2)


def test_metrics_by_hand():
    """Two tokens of weights 1 and 3 over four words."""
    p = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    targets = np.array([[0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]])
    weights = np.array([1.0, 3.0])
    drawn = Lesson(*(jnp.asarray(x)[None] for x in (np.zeros(2, int), targets, weights)))
    logits = jnp.log(p)[None] + 7.0
    found = next_token.metrics(logits, drawn)
    first = -0.5 * np.log(0.4) - 0.5 * np.log(0.2)
    second = -0.5 * np.log(0.3) - 0.5 * np.log(0.4)
    expected = (first + 3 * second) / 4
    assert float(found["cross_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert float(found["excess"]) == pytest.approx(expected - np.log(2), rel=1e-5)
    assert float(found["illegal_top1"]) == 0
    assert float(found["illegal_mass"]) == pytest.approx((0.4 + 3 * 0.3) / 4, rel=1e-5)
    # Of words 0 and 2 the first is among the two likeliest; of 2 and 3 both are.
    recall = next_token.top_n_recall(logits, drawn)
    assert float(recall) == pytest.approx((0.5 + 3 * 1) / 4)
    shifted = next_token.metrics(jnp.roll(logits, 1, axis=-1), drawn)
    assert float(shifted["illegal_top1"]) == pytest.approx(1)


def test_the_truth_has_no_excess_and_nothing_illegal():
    sequences = GAME.sample(random.key(107), 16)
    drawn = Lesson(sequences.tokens, sequences.targets, sequences.weights)
    logits = jnp.log(jnp.maximum(drawn.targets, 1e-30))
    found = next_token.metrics(logits, drawn)
    assert float(found["excess"]) == pytest.approx(0, abs=1e-5)
    floor = float(othello.entropy_floor(sequences))
    assert float(found["cross_entropy"]) == pytest.approx(floor, abs=1e-5)
    assert float(found["illegal_top1"]) == 0
    assert float(found["illegal_mass"]) < 1e-20
    assert float(next_token.top_n_recall(logits, drawn)) == pytest.approx(1)


@pytest.mark.slow
def test_the_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        drawn = next_token.lesson(GAME, random.key(108), 2)
        drawn = jax.tree.map(
            lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, drawn
        )
        model = jax.tree.map(lambda x: x.astype(jnp.float64), small_model(109))
        value = jax.jit(lambda model: next_token.loss(model, drawn)[0])
        check_grads(value, (model,), order=1, modes=["rev"], rtol=1e-5, eps=1e-6)


def test_half_precision_is_the_same_loss_up_to_its_rounding():
    drawn = next_token.lesson(GAME, random.key(110), 8)
    model = small_model(111)
    full, half = (
        jax.jit(partial(next_token.loss, dtype=dtype))(model, drawn)[0]
        for dtype in (None, jnp.bfloat16)
    )
    assert half.dtype == jnp.float32
    # bfloat16 has 8 bits: logits of order 0.1 are off by some 1e-3.
    assert float(half) == pytest.approx(float(full), abs=5e-3)
    assert float(half) != float(full)


@pytest.fixture(scope="module")
def trained():
    return next_token.train(
        random.key(112), small_model(113), GAME, 400, 32, learning_rate=1e-2, chunk=100
    )


@pytest.mark.slow
def test_a_short_run_learns_most_of_the_rules(trained):
    model, history = trained
    before = next_token.evaluate(random.key(114), small_model(113), GAME, 256, 256)
    after = next_token.evaluate(random.key(114), model, GAME, 256, 256)
    assert list(history.step) == [100, 200, 300, 400]
    # Untrained, all 17 words are alike; the mean number of legal moves is 2.6.
    assert before["illegal_mass"] == pytest.approx(1 - 2.6 / 17, abs=0.02)
    assert before["excess"] > 1.5
    assert after["illegal_top1"] < 0.25
    assert after["excess"] < 0.7
    assert after["top_n_recall"] > before["top_n_recall"] + 0.3
    assert after["cross_entropy"] - after["excess"] == pytest.approx(0.833, abs=0.03)


@pytest.mark.slow
def test_a_resumed_run_is_the_whole_run(trained, tmp_path):
    model, history = trained
    run = partial(
        next_token.train, random.key(112), small_model(113), GAME, batch_size=32,
        learning_rate=1e-2, chunk=100,
    )  # fmt: skip

    class Stopped(Exception):
        pass

    def stop(step, metrics):
        if step == 300:
            raise Stopped

    with pytest.raises(Stopped):
        run(n_steps=400, progress=stop, checkpoints=DirectoryCheckpoints(tmp_path))
    seen = []
    again, rows = run(
        n_steps=400,
        progress=lambda step, metrics: seen.append(step),
        checkpoints=DirectoryCheckpoints(tmp_path),
    )
    assert seen == [400]  # the chunk that was made when it stopped is kept
    for one, other in zip(jax.tree.leaves(model), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(rows.metrics["loss"], history.metrics["loss"])


def test_mazes_are_lessons_too():
    game = MazeGame.of(Percolation(3, 0.9), n_path=5)
    drawn = jax.jit(lambda key: next_token.lesson(game, key, 16))(random.key(115))
    model = small_model(116, game, drawn.tokens.shape[1])
    value, (metrics, _) = jax.jit(next_token.loss)(model, drawn)
    assert np.isfinite(float(value))
    assert 0 < float(metrics["excess"]) < float(value)


def test_players_of_one_shape_share_one_program():
    """Seeds, learning rates and numbers of the game are no part of it."""
    traced = []

    @struct.dataclass
    class Counted:
        odds: float

        def sample(self, key, batch_size):
            traced.append(batch_size)
            tokens = jax.random.bernoulli(key, self.odds, (batch_size, 3)).astype(int)
            row = jnp.array([1 - self.odds, self.odds])
            return Lesson(tokens, jnp.tile(row, (batch_size, 3, 1)), jnp.ones((1, 3)))

    counts, found = [], []
    for i, odds in enumerate((0.2, 0.4)):
        game, model = Counted(odds), Transformer(random.key(160 + i), 2, 3, 4, 1, 1)
        key_train, key_loss = jax.random.split(random.key(162 + i))
        trained, _ = next_token.train(key_train, model, game, 4, 8, 0.01 * (1 + i), chunk=2)
        found.append(next_token.evaluate(key_loss, trained, game, 8, 4)["cross_entropy"])
        counts.append(len(traced))
    assert counts[0] == counts[1] > 0
    assert found[0] != found[1]
