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
sample = jax.jit(lambda game, key, n: game.sample(key, n), static_argnums=2)
GAME = MazeGame.of(Percolated(Wilson(4), 0.4), prompt_weight=0.25)


@pytest.fixture(scope="module")
def drawn():
    return jax.tree.map(np.asarray, sample(GAME, random.key(1), N))


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
    """One maze, many paths: the empirical law of the next token, given the tokens so far."""
    n = 2**12
    open_all = lattice.from_list(jnp.ones((n, 12), bool), 3)
    game = MazeGame.of(Percolation(3, 1.0))
    ends = jnp.zeros(n, int), jnp.full(n, 8)
    write = jax.jit(lambda key: game.write(key, open_all, *ends))
    drawn = jax.tree.map(np.asarray, write(random.key(2)))
    first = game.layout.first_step
    seen = defaultdict(Counter)
    target = {}
    for words, targets in zip(drawn.tokens, drawn.targets, strict=True):
        for t in range(first, first + 5):
            so_far = tuple(words[first : t + 1])
            seen[so_far][words[t + 1]] += 1
            target[so_far] = targets[t]
    for so_far, counts in seen.items():
        total = counts.total()
        p = target[so_far]
        empirical = np.array([counts[word] / total for word in range(len(p))])
        assert (np.abs(empirical - p) <= 5 * np.sqrt(p * (1 - p) / total) + 1e-6).all()


def test_weights(drawn):
    following = np.pad(drawn.tokens[:, 1:], ((0, 0), (0, 1)), constant_values=PADDING)
    in_prompt = np.arange(drawn.tokens.shape[1]) < GAME.layout.path_start
    expected = np.where(following == PADDING, 0, np.where(in_prompt, 0.25, 1.0))
    np.testing.assert_array_equal(drawn.weights, expected)
    steps = (drawn.maze.path >= 0).sum(1)
    np.testing.assert_array_equal(drawn.weights[:, ~in_prompt].sum(1), steps + 1)


def test_the_least_loss_is_the_mean_log_of_choices(drawn):
    """By hand: log of the number of best moves, averaged over cells and the end."""
    n_best = drawn.token_labels.best.sum(-1)
    entropy = np.log(np.maximum(n_best, 1)).sum()
    n_tokens = (drawn.maze.path >= 0).sum() + N
    expected = entropy / n_tokens
    found = games.least_loss(jax.tree.map(jnp.asarray, drawn))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.05


def test_nothing_can_be_below_the_least_loss(drawn):
    weights = np.asarray(games.path_weights(jax.tree.map(jnp.asarray, drawn)))
    logits = np.log(drawn.targets + 1e-9)
    best = -(weights * (drawn.targets * logits).sum(-1)).sum() / weights.sum()
    least = float(games.least_loss(jax.tree.map(jnp.asarray, drawn)))
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
        alone = sample(GAME, key, N)
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
    drawn = sample(MazeGame.of(Wilson(4), n_path=4, min_steps=9), random.key(5), N)
    assert (drawn.maze.path[:, -1] >= 0).all()
    assert solve.grade(drawn.maze, drawn.maze.path).shortest.all()
    ends = np.asarray(drawn.tokens == PATH_END)
    assert (ends.sum(1) == 1).all()


def test_edited_mazes_keep_the_order_of_their_prompt():
    """A wall opened: the same list with one connection more, and the shorter path."""
    game = MazeGame.of(Wilson(4), n_listed=24)
    key = random.key(6)
    before = sample(game, jax.random.clone(key), N)
    present = np.array(lattice.to_list(before.maze.connections))
    wall = np.argmin(present, axis=1)
    present[np.arange(N), wall] = True
    edited = lattice.from_list(jnp.asarray(present), 4)
    key_write = jax.random.split(key, 3)[2]
    after = game.write(key_write, edited, before.maze.origin, before.maze.target)
    for i in range(N):
        old = before.listing.connection[i].tolist()
        new = after.listing.connection[i].tolist()
        assert [c for c in new if c not in (wall[i], -1)] == [c for c in old if c >= 0]
        assert wall[i] in new
    grade = solve.grade(after.maze, after.maze.path)
    assert grade.shortest.all()


def test_other_mazes_in_the_same_layout():
    game = MazeGame.of(Wilson(4), n_listed=24)
    smaller = game.replace(law=Within(Wilson(3), 4, row=1, column=1))
    drawn = sample(smaller, random.key(7), N)
    assert drawn.tokens.shape == (N, game.layout.n_tokens)
    outer = np.array([cell for cell in range(16) if cell < 4 or cell % 4 == 0])
    assert not np.asarray(drawn.labels.degree)[:, outer].any()
    assert not np.isin(np.asarray(drawn.maze.path), outer).any()


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
