"""Probes against least squares in NumPy, on streams whose features are linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from synthetic import othello, random
from toymodels.othello import board_scores
from toymodels.transformer import probes

GAME = othello.OthelloGame(othello.Classic(4))


@struct.dataclass
class Linear:
    """Two sites of five numbers; three contents of 16 squares, written into site 1.

    Site 0 is noise alone; site 1 holds the content of the first square and nothing else.
    """

    game: othello.OthelloGame = GAME
    families: tuple = struct.field(pytree_node=False, default=board_scores.BOARD)
    slots: int = struct.field(pytree_node=False, default=4)

    @property
    def names(self):
        return [f"{family} {i}" for family in self.families for i in range(16)]

    def streams(self, key, n_games):
        rows = n_games * self.slots
        key_noise, key_board = jax.random.split(key)
        content = jax.random.categorical(
            key_board, jnp.log(jnp.array([0.5, 0.3, 0.2])), shape=(rows, 16)
        )
        features = jnp.moveaxis(jax.nn.one_hot(content, 3), -1, 1).reshape(rows, 48)
        noise = jax.random.normal(key_noise, (2, rows, 5))
        written = jax.nn.one_hot(content[:, 0], 3) @ jnp.eye(3, 5)
        return noise.at[1].mul(0.01).at[1].add(3 * written + 2), features


@pytest.fixture(scope="module")
def fitted():
    return probes.fit(random.key(130), Linear(), n_rows=4_000, ridge=0.0, block=1_000)


def test_probes_are_least_squares(fitted):
    keys = jax.random.split(random.named(random.key(130), "probes.fit"), 4)
    drawn = [Linear().streams(key, 250) for key in jax.random.clone(keys)]
    x = np.concatenate([d[0] for d in drawn], axis=1).astype(float)
    y = np.concatenate([d[1] for d in drawn]).astype(float)
    for site in range(2):
        design = np.column_stack([x[site], np.ones(4_000)])
        expected = np.linalg.lstsq(design, y, rcond=None)[0]
        # Second moments in float32 are off by some 1e-7 of the largest, which is 1e4
        # times the least; W is of order 1 there, b that times a mean of 2 to 5.
        np.testing.assert_allclose(fitted.W[site], expected[:-1], atol=2e-3)
        np.testing.assert_allclose(fitted.b[site], expected[-1], atol=2e-2)


def test_boards_are_read_where_they_are_written(fitted):
    found = board_scores.board_scores(random.key(131), fitted, Linear(), 4_000, 1_000)
    assert found.by_square[1, 0] == pytest.approx(1)
    # Elsewhere the likeliest content is right in half of the squares; 4,000 rows of 16
    # squares know that to 0.002 and a little is lost to fitted noise.
    assert found.by_square[1, 1:].mean() == pytest.approx(0.5, abs=0.02)
    assert found.accuracy[0] == pytest.approx(0.5, abs=0.02)
    assert found.accuracy[1] == pytest.approx((1 + 15 * 0.5) / 16, abs=0.02)
    # Of occupied squares (0.8) the half that is "mine" is read right: 0.5 / 0.8.
    assert found.occupied[0] == pytest.approx(0.625, abs=0.02)


def test_f1_counts_features_together(fitted):
    found = board_scores.f1_scores(random.key(132), fitted, Linear(), 4_000, 1_000)
    # "empty" is found on the first square alone: recall 1/16, precision 1.
    assert found["empty"][1] == pytest.approx(2 / 17, abs=0.02)
    assert found["empty"][0] < 0.02


def test_features_are_read_where_they_are_written(fitted):
    found = probes.feature_scores(random.key(135), fitted, Linear(), 4_000, 1_000)
    # The three contents of the first square are read from site 1. Elsewhere the answers
    # are "no" (0.8, 0.7), and for a half either of the two.
    np.testing.assert_allclose(found.by_feature[1, [0, 16, 32]], 1)
    assert found.by_feature[0, 16:32].mean() == pytest.approx(0.7, abs=0.01)
    assert found.by_feature[0, 32:].mean() == pytest.approx(0.8, abs=0.01)
    assert found.base == pytest.approx((0.5 + 0.7 + 0.8) / 3, abs=0.01)
    assert (found.whole == 0).all()


def test_one_program_draws_all_rows_of_worlds_that_differ_in_leaves():
    traced = []

    @struct.dataclass
    class Scaled(Linear):
        by: float = 1.0

        def streams(self, key, n_games):
            traced.append(n_games)
            x, y = super().streams(key, n_games)
            return self.by * x, y

    for by in (1.0, 2.0):
        world = Scaled(by=by)
        found = probes.fit(random.key(136), world, 2_000, block=1_000)
        probes.feature_scores(random.key(137), found, world, 1_000, 1_000)
        board_scores.board_scores(random.key(138), found, world, 1_000, 1_000)
    assert traced == [250]


def test_a_ridge_shrinks_and_its_weight_has_no_unit():
    plain, strong = (
        probes.fit(random.key(133), Linear(), 1_000, ridge=r, block=1_000)
        for r in (0.0, 1.0)
    )
    norms = [np.linalg.norm(p.W, axis=(1, 2)) for p in (plain, strong)]
    assert (norms[1] < norms[0]).all()

    @struct.dataclass
    class Larger(Linear):
        def streams(self, key, n_games):
            x, y = super().streams(key, n_games)
            return 100 * x, y

    larger = probes.fit(random.key(133), Larger(), 1_000, ridge=1.0, block=1_000)
    np.testing.assert_allclose(100 * larger.W, strong.W, rtol=1e-2, atol=1e-5)


def test_a_world_without_boards_is_refused(fitted):
    world = Linear(families=("legal", "mine", "theirs"))
    with pytest.raises(ValueError, match="the first families are"):
        board_scores.board_scores(random.key(134), fitted, world)
