"""Rows of the list: the stream, the connection just read, and what scaling leaves."""

import jax
import numpy as np
import pytest

from synthetic import random
from synthetic.maze import Kruskal, MazeGame, Percolation, lattice
from synthetic.maze.tokens import FIRST_CELL
from synthetic.testing import check
from toymodels.maze import listing
from toymodels.scores import detection
from toymodels.scores.detection import Sample
from toymodels.transformer import Transformer

GAME = MazeGame.of(Kruskal(3))
MODEL = Transformer(random.key(180), GAME.n_words, GAME.n_tokens, 12, 1, 2)


@pytest.fixture(scope="module")
def listed():
    return listing.read(random.key(181), MODEL, GAME, 40)


def test_rows_are_the_stream_at_the_slot_and_the_connection_in_it(listed):
    tokens = jax.jit(lambda key: GAME.sample(key, 40))(random.key(181)).tokens
    residual = MODEL(tokens).residual
    assert listed.x.shape == (2, 3, 40, 8, 12)
    ends = lattice.ends(3).tolist()
    for place, offset in enumerate(listing.PLACES.values()):
        for slot in range(8):
            at = GAME.layout.slots.start + 4 * slot
            np.testing.assert_allclose(
                listed.x[place, :, :, slot], residual[:, :, at + offset], atol=1e-6
            )
            a, b = np.asarray(tokens[:, [at, at + 2]]).T - FIRST_CELL
            pairs = np.sort(np.stack([a, b], axis=1), axis=1).tolist()
            expected = np.eye(12, dtype=bool)[[ends.index(pair) for pair in pairs]]
            np.testing.assert_array_equal(listed.connection[:, slot], expected)


def test_a_word_finds_the_connections_of_its_cell_in_closed_form():
    """On 3 x 3 cells, where a connection is listed with a probability of p at a corner and
    q in the middle: F1 = 1/2 for a corner's two. The four others are found from the side,
    whose cell has two of the first kind, q / (q + p + q / 2), or from the middle, 1/3.
    """
    rows = listing.words(random.key(184), GAME, 4_000)
    sample = Sample(rows.x, rows.features)
    detectors = detection.select(detection.count(sample))
    found = detection.by_property(detectors, sample)
    middle = np.array([4 in pair for pair in lattice.ends(3).tolist()])
    often = np.asarray(rows.features).mean(axis=0)
    p, q = often[~middle].mean(), often[middle].mean()
    assert middle.sum() == 4
    # Some 2,500 of each kind: a standard error of 0.01 in every one.
    np.testing.assert_allclose(found[~middle], 0.5, atol=0.04)
    np.testing.assert_allclose(found[middle], max(q / (q + p + q / 2), 1 / 3), atol=0.04)


def test_words_are_those_of_the_mazes_that_are_read(listed):
    rows = listing.words(random.key(181), GAME, 40)
    np.testing.assert_array_equal(rows.features, listed.rows(0, 0).features)
    tokens = jax.jit(lambda key: GAME.sample(key, 40))(random.key(181)).tokens
    first = GAME.layout.slots.start + 2
    second = np.asarray(tokens)[:, first : GAME.layout.slots.stop : 4]
    np.testing.assert_array_equal(np.asarray(rows.x).argmax(1), second.ravel())


def test_scaling_leaves_no_position_and_mean_squares_of_one(listed):
    found = listing.scaled(listed, listing.scaling(listed)).x[:, 1:]
    np.testing.assert_allclose(found.mean(axis=2), 0, atol=1e-4)
    np.testing.assert_allclose(np.square(found).mean(axis=(2, 3, 4)), 1, atol=1e-3)


def test_what_all_mazes_share_is_not_blown_up(listed):
    """The embedding of `;` at one place differs by rounding alone."""
    found = listing.scaled(listed, listing.scaling(listed)).x[1, 0]
    assert np.abs(found).max() < 0.01


def test_rows_are_a_world(listed):
    rows = listed.rows(0, 2)
    assert rows.x.shape == (320, 12)
    check(rows, random.key(182))
    batch = rows.sample(random.key(183), 50)
    assert (np.asarray(batch.features).sum(axis=1) == 1).all()


def test_an_empty_slot_has_no_connection():
    game = MazeGame.of(Percolation(3, 0.5))
    model = Transformer(random.key(184), game.n_words, game.n_tokens, 12, 1, 2)
    listed = listing.read(random.key(185), model, game, 30)
    present = jax.jit(lambda key: game.sample(key, 30))(random.key(185)).labels.connection
    np.testing.assert_array_equal(listed.connection.any(axis=1), present)
    np.testing.assert_array_equal(listed.connection.sum((1, 2)), present.sum(1))


def test_redrawn_weights_have_the_size_of_the_trained_ones():
    other = listing.redrawn(random.key(186), MODEL)
    for ours, theirs in zip(jax.tree.leaves(MODEL), jax.tree.leaves(other), strict=True):
        assert ours.shape == theirs.shape
        error = 5 * float(ours.std()) / ours.size**0.5
        assert float(theirs.std()) == pytest.approx(float(ours.std()), abs=error + 1e-9)
        assert float(theirs.mean()) == pytest.approx(float(ours.mean()), abs=error + 1e-9)
    assert not np.allclose(MODEL.W_E[...], other.W_E[...])
