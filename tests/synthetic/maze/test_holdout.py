"""Mazes held out of training, and mazes of other sizes in the same lattice."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random
from synthetic.maze import holdout, lattice
from synthetic.maze.generate import Percolation, Wilson
from synthetic.maze.shift import Within

draw = jax.jit(lambda law, key, n: law.draw(key, n), static_argnums=2)


@pytest.fixture(scope="module")
def parts():
    train, test = holdout.split(Wilson(3), share=0.25, salt=2)
    return [
        np.asarray(draw(part, random.key(i), 4000)) for i, part in enumerate((train, test))
    ]


def all_mazes(size):
    n_edges = lattice.n_connections(size)
    number = np.arange(2**n_edges)[:, None]
    return lattice.from_list(jnp.asarray((number >> np.arange(n_edges) & 1) > 0), size)


def test_training_and_test_share_no_maze_and_make_up_all(parts):
    train, test = ({maze.tobytes() for maze in part} for part in parts)
    assert not train & test
    assert len(train | test) == 192
    assert not holdout.is_shared(*parts).any()
    assert holdout.is_shared(parts[0], parts[0]).all()


def test_a_part_keeps_the_law_within_it(parts):
    """Wilson's mazes are equally likely, so those of a part are too."""
    for part in parts:
        counts = list(Counter(maze.tobytes() for maze in part).values())
        assert 1e-6 < stats.chisquare(counts).pvalue < 1 - 1e-6


def test_the_share_is_of_all_different_mazes():
    mazes = all_mazes(3)
    for salt in range(3):
        held_out = np.asarray(holdout.is_held_out(mazes, 0.25, salt))
        assert abs(held_out.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 4096)
    assert not holdout.is_held_out(mazes, 0.0).any()
    assert holdout.is_held_out(mazes, 1.0).all()


def test_fingerprints_tell_mazes_apart():
    """4,096 different mazes: 0.002 equal pairs are expected."""
    mazes = all_mazes(3)
    marks = np.asarray(holdout.fingerprint(mazes))
    assert len(np.unique(marks)) == 4096
    other = np.asarray(holdout.fingerprint(mazes, salt=1))
    assert (marks != other).all()
    bits = (marks[:, None] >> np.arange(32) & 1).astype(float)
    z = (bits.mean(0) - 0.5) / (0.5 / 64)
    assert np.abs(z).max() < 5
    large = draw(Percolation(9, 0.5), random.key(3), 500)
    assert len(np.unique(holdout.fingerprint(large))) == 500


def test_parts_work_for_one_maze_and_for_swept_shares():
    one = draw(holdout.split(Percolation(4))[1], random.key(4), 1)
    assert holdout.is_held_out(one, 0.1).all()

    def held(share):
        train, _ = holdout.split(Percolation(3), share)
        return holdout.is_held_out(train.draw(random.key(5), 50), share).any()

    assert not jax.jit(jax.vmap(held))(jnp.array([0.1, 0.5])).any()


def test_an_empty_part_gives_mazes_without_connections(monkeypatch):
    monkeypatch.setattr(holdout, "MOST_ROUNDS", 3)
    part = holdout.split(Percolation(3), share=0.0)[1]
    assert not draw(part, random.key(6), 4).any()


def test_first_of_each():
    mazes = np.asarray(draw(Wilson(2), random.key(7), 50))
    places = holdout.first_of_each(mazes)
    assert len(places) == 4
    for i, maze in enumerate(mazes):
        earlier = any((mazes[j] == maze).all() for j in range(i))
        assert (i in places) == (not earlier)


def test_sets_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="the size of the other mazes is 3, expected 2"):
        holdout.is_shared(np.zeros((1, 2, 2, 2), bool), np.zeros((1, 2, 3, 3), bool))


def test_smaller_mazes_in_a_larger_lattice():
    key = random.key(8)
    small = np.asarray(draw(Wilson(3), jax.random.split(jax.random.clone(key), 3)[0], 40))
    placed = np.asarray(draw(Within(Wilson(3), 5, row=2, column=1), key, 40))
    np.testing.assert_array_equal(placed[:, :, 2:5, 1:4], small)
    assert placed.sum() == small.sum()
    lattice.require_connections(placed)


def test_places_are_drawn_uniformly():
    drawn = np.asarray(draw(Within(Wilson(3), 5, None, None), random.key(9), 4096))
    used = np.asarray(lattice.legal_moves(jnp.asarray(drawn))).any(-1).reshape(-1, 5, 5)
    row, column = used.any(2).argmax(1), used.any(1).argmax(1)
    counts = np.bincount(3 * row + column, minlength=9)
    assert 1e-6 < stats.chisquare(counts).pvalue < 1 - 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Within(Wilson(5), 4), "size is 4, expected a number in \\[5, "),
        (lambda: Within(Wilson(3), 5, row=3), "row is 3, expected a number in \\[0, 2\\]"),
        (lambda: holdout.split(Wilson(3), 10), "share holds 10, expected probabilities"),
    ],
)
def test_impossible_divisions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
