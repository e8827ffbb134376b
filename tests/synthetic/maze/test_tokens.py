"""Sequences of tokens: by hand, there and back, and what is refused."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random
from synthetic.maze import lattice, solve, tokens
from synthetic.maze.generate import Percolation, Wilson
from synthetic.maze.tokens import FIRST_CELL, PADDING, Layout, Listing

N = 50


def made(law, layout, key):
    key_maze, key_ends, key_path, key_list = jax.random.split(key, 4)
    connections = law.draw(key_maze, N)
    ends = solve.draw_ends(key_ends, connections)
    maze = solve.solve(key_path, connections, *ends)
    listing = tokens.draw_listing(key_list, connections, layout.n_listed)
    return maze, listing, tokens.write(layout, listing, maze)


@pytest.fixture(
    scope="module", params=[Wilson(4), Percolation(4, 0.5)], ids=["tree", "any"]
)
def case(request):
    layout = Layout(4, request.param.max_connections, 16)
    return layout, *jax.jit(made, static_argnums=1)(request.param, layout, random.key(1))


def test_a_sequence_by_hand():
    """Cells 0 1 / 2 3, open 0-1 and 1-3, from 3 to 0."""
    layout = Layout(2, 3, 4)
    maze = lattice.Maze(
        lattice.from_list(jnp.array([False, True, True, False]), 2),
        jnp.array(3),
        jnp.array(0),
        jnp.array([3, 1, 0, -1]),
    )
    listing = Listing(jnp.array([1, 2, -1]), jnp.array([True, False, False]))
    words = [layout.words[i] for i in tokens.write(layout, listing, maze)]
    assert " ".join(words) == (
        "<ADJLIST_START> (1,1) <--> (0,1) ; (0,0) <--> (0,1) ; "
        "<PADDING> <PADDING> <PADDING> <PADDING> <ADJLIST_END> "
        "<ORIGIN_START> (1,1) <ORIGIN_END> <TARGET_START> (0,0) <TARGET_END> "
        "<PATH_START> (1,1) (0,1) (0,0) <PATH_END> <PADDING>"
    )


def test_spanning_trees_have_prompts_of_the_published_length():
    """4 n^2 + 5 tokens, <PATH_START> among them."""
    for size, expected in ((4, 69), (5, 105), (6, 149), (7, 201)):
        assert Layout(size, size**2 - 1, size**2).first_step == expected


def test_places_are_the_same_in_all_sequences(case):
    layout, maze, _, words = case
    words = np.asarray(words)
    assert words.shape == (N, layout.n_tokens)
    assert {layout.words[i] for i in words[:, layout.path_start]} == {"<PATH_START>"}
    np.testing.assert_array_equal(words[:, layout.origin] - FIRST_CELL, maze.origin)
    np.testing.assert_array_equal(words[:, layout.target] - FIRST_CELL, maze.target)
    np.testing.assert_array_equal(words[:, layout.first_step] - FIRST_CELL, maze.origin)
    assert ((words == tokens.PATH_END).sum(1) == 1).all()


def test_there_and_back(case):
    layout, maze, _, words = case
    for ours, theirs in zip(tokens.read(layout, words), maze, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    walk = np.asarray(tokens.walk(layout, words))
    np.testing.assert_array_equal(walk[:, :-1], maze.path)
    assert (walk[:, -1] == -1).all()
    tokens.require_tokens(layout, words)


def test_every_connection_is_listed_once(case):
    layout, maze, listing, _ = case
    rows = np.asarray(lattice.to_list(maze.connections)), np.asarray(listing.connection)
    for present, listed in zip(*rows, strict=True):
        used = [i for i in listed.tolist() if i >= 0]
        assert sorted(used) == np.flatnonzero(present).tolist()
        assert listed.tolist() == used + [-1] * (layout.n_listed - len(used))


def test_order_and_direction_are_drawn_by_lot():
    n = 2**13
    tree = lattice.from_list(jnp.broadcast_to(jnp.arange(4) < 3, (n, 4)), 2)
    listing = jax.jit(tokens.draw_listing, static_argnums=2)(random.key(3), tree, 3)
    orders = Counter(map(tuple, np.asarray(listing.connection).tolist()))
    assert len(orders) == 6
    assert 1e-6 < stats.chisquare(list(orders.values())).pvalue < 1 - 1e-6
    flips = Counter(map(tuple, np.asarray(listing.flipped).tolist()))
    assert len(flips) == 8
    assert 1e-6 < stats.chisquare(list(flips.values())).pvalue < 1 - 1e-6


def test_answers_end_at_the_first_word_that_is_no_cell():
    layout = Layout(2, 3, 4)
    answer = [FIRST_CELL + 3, FIRST_CELL + 1, tokens.PATH_END, FIRST_CELL, PADDING]
    words = jnp.array([0] * layout.first_step + answer)
    assert tokens.walk(layout, words).tolist() == [3, 1, -1, -1, -1]


def test_a_full_list_of_another_maze_does_not_fit():
    full = lattice.from_list(jnp.ones((1, 4), bool), 2)
    with pytest.raises(ValueError, match="the number of connections of a maze is 4"):
        tokens.draw_listing(random.key(4), full, 3)


def test_layouts_that_do_not_fit_are_refused(case):
    layout, maze, listing, _ = case
    for wrong, message in (
        (Layout(5, layout.n_listed, 16), "the size of the mazes is 4, expected 5"),
        (Layout(4, layout.n_listed - 1, 16), f"n_listed is {layout.n_listed}"),
        (Layout(4, layout.n_listed, 15), "the number of path slots is 16"),
    ):
        with pytest.raises(ValueError, match=message):
            tokens.write(wrong, listing, maze)
    with pytest.raises(
        ValueError, match="n_listed is 25, expected a number in \\[1, 24\\]"
    ):
        Layout(4, 25, 16)


def test_broken_and_foreign_sequences_are_refused(case):
    layout, _, _, words = case
    good = np.array(words)

    def refused(change, message):
        broken = good.copy()
        change(broken)
        with pytest.raises(ValueError, match=message):
            tokens.require_tokens(layout, broken)

    def set_at(row, place, word):
        return lambda broken: broken.__setitem__((row, place), word)

    refused(
        set_at(3, 0, PADDING), "token 0 of sequence \\[3\\] is <PADDING>, expected <ADJ"
    )
    refused(set_at(0, layout.path_start, 9), "is ;, expected <PATH_START> there")
    refused(set_at(0, layout.origin, 10**6), "a token is 1e\\+06")
    refused(set_at(1, 2, FIRST_CELL), "expected <")
    with pytest.raises(ValueError, match="the length of a sequence is"):
        tokens.require_tokens(layout, good[:, :-1])
    with pytest.raises(ValueError, match="expected integers"):
        tokens.require_tokens(layout, good.astype(float))
