"""Distribution shift: other frequencies, and combinations held out of training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, random
from synthetic.firing import correlation
from synthetic.hierarchy import Gated
from synthetic.hierarchy.forest import Forest
from synthetic.hierarchy.topdown import TopDown
from synthetic.testing import check
from synthetic.worlds import shift

P = jnp.array([0.6, 0.5, 0.4, 0.3, 0.2])
PAIRS = jnp.array([[0, 1], [2, 4]])
LAW = firing.Independent(P)
BATCH = 2**14
draw = jax.jit(lambda law, key: law.draw(key, BATCH))


def world(law):
    return SparseFeatures(directions.random(random.key(100), 5, 3), law)


def test_held_out_pairs_never_meet_and_the_loser_is_drawn_by_lot():
    fires, level = map(np.asarray, draw(shift.Apart(LAW, PAIRS), random.key(101)))
    assert not fires[:, np.asarray(PAIRS)].all(-1).any()
    expected = np.array([0.6 - 0.15, 0.5 - 0.15, 0.4 - 0.04, 0.3, 0.2 - 0.04])
    error = np.sqrt(expected * (1 - expected) / BATCH)
    assert (np.abs(fires.mean(0) - expected) < 5 * error).all()
    assert abs(level[fires].mean() - 0.5) < 5 / np.sqrt(12 * fires.sum())


def test_the_test_law_shows_one_held_out_pair_in_every_sample():
    fires, level = map(np.asarray, draw(shift.Together(LAW, PAIRS), random.key(102)))
    met = fires[:, np.asarray(PAIRS)].all(-1)
    assert (met.sum(1) == 1).all()
    assert abs(met[:, 0].mean() - 0.5) < 5 * 0.5 / np.sqrt(BATCH)
    assert abs(fires[:, 3].mean() - 0.3) < 5 * np.sqrt(0.21 / BATCH)
    mine = level[:, 0][fires[:, 0]]
    assert abs(mine.mean() - 0.5) < 5 / np.sqrt(12 * len(mine))


@pytest.mark.parametrize(
    "law",
    [
        LAW,
        correlation.LowRank(P, jnp.full((5, 1), 0.3)),
        Gated(LAW, Forest.of([-1, 0, 0, -1, -1])),
        TopDown(LAW, Forest.of([-1, 0, 0, -1, -1]), (2, 1, 2)),
        shift.Apart(LAW, PAIRS),
    ],
)
def test_other_frequencies_leave_everything_else(law):
    before = world(law)
    after = shift.with_probability(before, P[::-1])
    np.testing.assert_array_equal(shift._of(after.firing), P[::-1])
    np.testing.assert_array_equal(after.directions, before.directions)
    same = jax.tree.structure(after) == jax.tree.structure(before)
    assert same or isinstance(law, TopDown)
    dealt = shift.permuted(random.key(103), before)
    np.testing.assert_array_equal(np.sort(shift._of(dealt.firing)), np.sort(P))


def test_random_pairs_share_no_feature():
    pairs = shift.random_pairs(random.key(104), 9, 4)
    assert pairs.shape == (4, 2)
    assert len(np.unique(pairs)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("law", [shift.Apart(LAW, PAIRS), shift.Together(LAW, PAIRS)])
def test_a_shifted_world_keeps_the_contract(law):
    check(world(law), random.key(105), batch_size=16)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: shift.Apart(LAW, jnp.array([[0, 5]])),
            r"a feature of pairs is 5, expected",
        ),
        (lambda: shift.Apart(LAW, jnp.array([[2, 2]])), r"a pair holds feature 2 twice"),
        (lambda: shift.Together(LAW, jnp.zeros((2, 3), int)), r"last axis of pairs is 3"),
        (
            lambda: shift.random_pairs(random.key(0), 4, 3),
            r"n_pairs is 3, expected .*\[1, 2\]",
        ),
        (
            lambda: shift.with_probability(world(LAW), P[:4]),
            r"number of probabilities is 4, expected 5",
        ),
        (
            lambda: shift.with_probability(world(firing.ExactlyK(5, 2)), P),
            r"firing of the world is ExactlyK, expected a law with probabilities",
        ),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()
