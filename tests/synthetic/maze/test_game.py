"""The game: what the next token is, how likely, and what the loss counts."""

from collections import Counter, defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.maze import game as games
from synthetic.maze import lattice, solve
from synthetic.maze.game import MazeGame
from synthetic.maze.generate import Kruskal, Percolated, Percolation, Wilson
from synthetic.maze.shift import Within
from synthetic.maze.tokens import FIRST_CELL, PADDING, PATH_END, Layout

N = 64
sample = jax.jit(lambda game, key: game.sample(key, N))
write = jax.jit(lambda game, *args: game.write(*args))
do = jax.jit(lambda game, key, *args: game.do(key, N, *args))
grade = jax.jit(solve.grade)
words_and_mazes = jax.jit(
    lambda game, key: (lambda s: (s.tokens, s.maze))(game.sample(key, N))
)
GAME = MazeGame.of(Percolated(Wilson(4), 0.4), prompt_weight=0.25)


@pytest.fixture(scope="module")
def drawn():
    return jax.tree.map(np.asarray, sample(GAME, random.key(1)))


def test_targets_are_distributions_that_allow_the_next_token(drawn):
    np.testing.assert_allclose(drawn.targets.sum(-1), 1, rtol=1e-6)
    following = drawn.tokens[:, 1:]
    likely = np.take_along_axis(drawn.targets[:, :-1], following[..., None], axis=2)
    assert (likely > 0).all()
    in_prompt = np.arange(drawn.tokens.shape[1] - 1) < GAME.layout.path_start
    assert (likely[:, in_prompt] == 1).all()


def test_targets_of_steps_are_the_best_moves(drawn, plain):
    layout = GAME.layout
    several = 0
    for i in range(N):
        edges = plain.edges_of(drawn.maze.connections[i])
        distance = plain.distances(edges, 16, drawn.maze.target[i])
        for t in range(layout.first_step, layout.n_tokens - 1):
            cell = drawn.tokens[i, t] - FIRST_CELL
            if cell < 0:
                continue
            best = [
                FIRST_CELL + beside
                for beside in plain.open_around(edges, cell)
                if distance[beside] == distance[cell] - 1
            ] or [PATH_END]
            expected = np.zeros(layout.n_words)
            expected[best] = 1 / len(best)
            np.testing.assert_allclose(drawn.targets[i, t], expected, rtol=1e-6)
            several += len(best) > 1
    assert several > N / 4


def test_paths_follow_the_targets():
    """One maze, many paths: the empirical law of the next token, given those so far."""
    open_all = lattice.from_list(jnp.ones((N, 24), bool), 4)
    ends = jnp.full(N, 0), jnp.full(N, 10)
    first = GAME.layout.first_step
    seen, target = defaultdict(Counter), {}
    for key in jax.random.split(random.key(2), 40):
        drawn = jax.tree.map(np.asarray, write(GAME, key, open_all, *ends))
        for words, targets in zip(drawn.tokens, drawn.targets, strict=True):
            for t in range(first, first + 5):
                so_far = tuple(words[first : t + 1].tolist())
                seen[so_far][words[t + 1]] += 1
                target[so_far] = targets[t]
    for so_far, counts in seen.items():
        n, p = counts.total(), target[so_far]
        empirical = np.array([counts[word] / n for word in range(len(p))])
        assert (np.abs(empirical - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-6).all()
    assert len(seen) > 10


def test_weights(drawn):
    following = np.pad(drawn.tokens[:, 1:], ((0, 0), (0, 1)), constant_values=PADDING)
    in_prompt = np.arange(drawn.tokens.shape[1]) < GAME.layout.path_start
    expected = np.where(following == PADDING, 0, np.where(in_prompt, 0.25, 1.0))
    np.testing.assert_array_equal(drawn.weights, expected)
    steps = (drawn.maze.path >= 0).sum(1)
    np.testing.assert_array_equal(drawn.weights[:, ~in_prompt].sum(1), steps + 1)


def test_the_entropy_floor_is_the_mean_log_of_choices(drawn):
    """By hand: log of the number of best moves, averaged over cells and the end."""
    n_best = drawn.token_labels.best.sum(-1)
    entropy = np.log(np.maximum(n_best, 1)).sum()
    n_tokens = (drawn.maze.path >= 0).sum() + N
    expected = entropy / n_tokens
    found = games.entropy_floor(jax.tree.map(jnp.asarray, drawn))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.05


def test_nothing_can_be_below_the_entropy_floor(drawn):
    weights = np.asarray(games.path_weights(jax.tree.map(jnp.asarray, drawn)))
    logits = np.log(drawn.targets + 1e-9)
    best = -(weights * (drawn.targets * logits).sum(-1)).sum() / weights.sum()
    least = float(games.entropy_floor(jax.tree.map(jnp.asarray, drawn)))
    assert best == pytest.approx(least, abs=1e-5)
    in_path = np.asarray(weights) > 0
    np.testing.assert_array_equal(drawn.weights[in_path], 1)
    assert (drawn.weights[~in_path] <= 0.25).all()


def test_deterministic_in_the_key_and_vmapped_equals_looped():
    a, b = jax.random.split(random.key(3))
    clone = jax.random.clone
    # The outer clone is for the key reuse checker, which takes stacked keys as spent.
    keys = clone(jnp.stack([clone(a), clone(b)]))
    both = jax.jit(jax.vmap(lambda key: GAME.sample(key, N)))(keys)
    for i, key in enumerate((a, b)):
        alone = sample(GAME, key)
        jax.tree.map(lambda x, y, i=i: np.testing.assert_array_equal(x[i], y), both, alone)
    assert (np.asarray(both.tokens[0]) != np.asarray(both.tokens[1])).any()


def test_settings_are_swept_without_a_retrace():
    traces = 0

    @jax.jit
    def lengths(game, key):
        nonlocal traces
        traces += 1
        drawn = game.sample(key, 32)
        return drawn.weights.max(), (drawn.maze.path >= 0).sum(-1) - 1

    law = Kruskal(4)
    for least, most in ((1, 2), (4, 5)):
        game = MazeGame.of(law, min_steps=least, max_steps=most)
        _, steps = lengths(game, random.key(4))
        assert steps.min() >= least
        assert steps.max() <= most
    assert traces == 1


def test_short_layouts_get_paths_that_fit():
    words, maze = words_and_mazes(
        MazeGame.of(Kruskal(4), n_path=4, min_steps=9), random.key(5)
    )
    assert (maze.path[:, -1] >= 0).all()
    assert grade(maze, maze.path).shortest.all()
    assert ((np.asarray(words) == PATH_END).sum(1) == 1).all()


def test_edited_mazes_keep_the_order_of_their_prompt():
    """A wall opened: the same list with one connection more, and the shorter path."""
    trees = GAME.replace(law=Percolated(Wilson(4), 0.0))
    key = random.key(6)
    before = jax.tree.map(np.asarray, sample(trees, jax.random.clone(key)))
    wall = np.argmin(before.labels.connection, axis=1)
    after = jax.tree.map(np.asarray, do(trees, key, wall, True))
    present = before.labels.connection.copy()
    present[np.arange(N), wall] = True
    np.testing.assert_array_equal(after.labels.connection, present)
    for name in ("origin", "target"):
        old, new = (getattr(drawn.maze, name) for drawn in (before, after))
        np.testing.assert_array_equal(new, old)
    for i in range(N):
        old, new = (
            list(zip(*(row[i].tolist() for row in drawn.listing), strict=True))
            for drawn in (before, after)
        )
        opened = [pair for pair in new if pair[0] == wall[i]]
        assert len(opened) == 1
        assert [p for p in new if p not in opened][:15] == old[:15]
    assert grade(after.maze, after.maze.path).shortest.all()
    assert (after.weights.max(1) == 1).all()
    with pytest.raises(ValueError, match="n_listed is 15, expected a number in"):
        MazeGame.of(Wilson(4)).do(key, N, 0, True)


def test_mazes_cut_in_two_weigh_nothing():
    """In a tree, closing a connection of the path leaves the origin alone."""
    trees = GAME.replace(law=Percolated(Wilson(4), 0.0))
    key = random.key(8)
    before = jax.tree.map(np.asarray, sample(trees, jax.random.clone(key)))
    first = np.argmax(before.labels.path_connection, axis=1)
    after = jax.tree.map(np.asarray, do(trees, key, first, False))
    assert not after.labels.connection[np.arange(N), first].any()
    np.testing.assert_array_equal(after.maze.path[:, 0], before.maze.origin)
    assert (after.maze.path[:, 1:] == -1).all()
    assert not after.weights.any()
    assert not (after.labels.reachable & after.labels.origin).any()


def test_what_does_not_fit_is_not_a_number():
    """Inside `jit` nothing can be raised: a full lattice in the layout of trees, and a path
    of seven cells in slots for six.
    """
    key = random.key(9)
    for game, n_open in ((MazeGame.of(Wilson(4)), 24), (MazeGame.of(Wilson(4), 24, 6), 24)):
        full = lattice.from_list(jnp.ones((N, n_open), bool), 4)
        ends = jnp.zeros(N, int), jnp.full(N, 15)
        weights = jax.jit(lambda *args, game=game: game.write(*args).weights)
        found = np.asarray(weights(jax.random.clone(key), full, *ends))
        assert np.isnan(found[:, game.layout.path_start]).all()


def test_double_precision_changes_nothing():
    game = MazeGame.of(Kruskal(4))
    key = random.key(10)
    single = words_and_mazes(game, jax.random.clone(key))
    with jax.enable_x64(True):
        double = words_and_mazes(game, key)
    np.testing.assert_array_equal(single[0], double[0])
    assert double[0].dtype == jnp.int32


def test_other_mazes_in_the_same_layout():
    smaller = GAME.replace(law=Within(Wilson(3), 4, row=1, column=1))
    words, maze = words_and_mazes(smaller, random.key(7))
    assert words.shape == (N, GAME.layout.n_tokens)
    outer = np.array([cell for cell in range(16) if cell < 4 or cell % 4 == 0])
    assert not np.asarray(lattice.legal_moves(maze.connections))[:, outer].any()
    assert not np.isin(np.asarray(maze.path), outer).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MazeGame(Wilson(4), Layout(5, 15, 16)), "the size of the layout is 5"),
        (
            lambda: MazeGame.of(Wilson(4)).replace(law=Percolation(4)),
            "the number of connections of the law is 24, expected a number in .*n_listed",
        ),
        (lambda: MazeGame.of(Wilson(4), prompt_weight=-1), "prompt_weight is -1"),
        (lambda: MazeGame.of(Wilson(4), min_steps=0), "min_steps is 0"),
        (lambda: MazeGame.of(Wilson(4), n_path=17), "n_path is 17"),
    ],
)
def test_impossible_games_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
