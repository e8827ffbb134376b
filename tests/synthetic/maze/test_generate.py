"""Laws of mazes: exact distributions of small ones, statistics of larger ones.

Seeds are fixed; a bound is where an exact sampler would fail less than once in 10^5 tests.
"""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random
from synthetic.maze import choice, lattice
from synthetic.maze.generate import (
    DepthFirst,
    Hallway,
    Kruskal,
    Percolated,
    Percolation,
    Wilson,
)

SURPRISE = 1e-6
TREES = [DepthFirst, Wilson, Kruskal]
draw = jax.jit(lambda law, key, n: law.draw(key, n), static_argnums=2)


def mazes(law, seed, n, plain):
    return [plain.edges_of(maze) for maze in np.asarray(draw(law, random.key(seed), n))]


def assert_law(found, expected):
    """Chi-square against exact probabilities, both tails."""
    counts = Counter(found)
    assert set(counts) <= set(expected)
    n = len(found)
    observed = np.array([counts[maze] for maze in expected])
    p = stats.chisquare(observed, [n * float(q) for q in expected.values()]).pvalue
    assert SURPRISE < p < 1 - SURPRISE


@pytest.mark.parametrize("size", [2, 3])
def test_wilson_is_uniform_over_spanning_trees(size, plain):
    trees = plain.spanning_trees(size)
    assert len(trees) == {2: 4, 3: 192}[size]  # The matrix-tree theorem.
    found = mazes(Wilson(size), 1, 2**14, plain)
    assert_law(found, dict.fromkeys(trees, 1 / len(trees)))


@pytest.mark.parametrize(("margin", "n_forms"), [(0, 88), (1, 42)])
def test_depth_first_follows_its_exact_law(margin, n_forms, plain):
    """With the library's biased start, margin 1, only 42 of the 88 forms come about."""
    starts = [3 * r + c for r in range(3 - margin) for c in range(3 - margin)]
    expected = plain.depth_first_law(3, starts)
    assert len(expected) == n_forms
    assert_law(mazes(DepthFirst(3, margin=margin), 2, 2**14, plain), expected)


@pytest.mark.parametrize(("max_cells", "max_depth"), [(5, 99), (99, 2), (6, 3)])
def test_constrained_depth_first_follows_its_exact_law(max_cells, max_depth, plain):
    expected = plain.depth_first_law(3, range(9), max_cells, max_depth)
    law = DepthFirst(3, max_cells, max_depth)
    assert_law(mazes(law, 4, 2**14, plain), expected)


def test_kruskal_follows_its_exact_law(plain):
    expected = plain.kruskal_law(3)
    assert len(expected) == 192
    assert max(expected.values()) > min(expected.values())  # Not Wilson's law.
    assert_law(mazes(Kruskal(3), 3, 2**14, plain), expected)


def test_hallways_of_two_by_two(plain):
    """From any corner, either way round: three connections, each of 4 mazes as likely."""
    trees = plain.spanning_trees(2)
    assert_law(mazes(Hallway(2), 4, 2**12, plain), dict.fromkeys(trees, 1 / 4))


@pytest.mark.parametrize("law", [Law(9) for Law in TREES])
def test_trees_are_connected_and_without_cycles(law, plain):
    """81 cells are three words of bits."""
    for edges in mazes(law, 5, 100, plain):
        assert plain.is_spanning_tree(edges, 9)
    assert law.max_connections == 80


def test_hallways_have_no_forks_and_end_where_no_cell_is_new(plain):
    for edges in mazes(Hallway(5), 6, 200, plain):
        degree = Counter(cell for edge in edges for cell in edge)
        ends = [cell for cell, n in degree.items() if n == 1]
        assert len(ends) == 2
        assert max(degree.values()) == 2
        assert len(edges) == len(degree) - 1
        stuck = [all(cell in degree for cell in plain.around(5, end)) for end in ends]
        assert any(stuck)


def statistics_of(edges, size, plain):
    degree = Counter(cell for edge in edges for cell in edge)
    from_corner = plain.distances(edges, size**2, 0)
    return sum(n == 1 for n in degree.values()), from_corner[-1]


@pytest.mark.parametrize(
    ("law", "name"), [(DepthFirst(5), "depth_first_maze"), (Wilson(5), "wilson_maze")]
)
def test_dead_ends_and_path_lengths_are_those_of_a_plain_implementation(law, name, plain):
    n, rng = 1500, np.random.default_rng(7)
    ours = [statistics_of(maze, 5, plain) for maze in mazes(law, 7, n, plain)]
    theirs = [statistics_of(getattr(plain, name)(rng, 5), 5, plain) for _ in range(n)]
    for column in range(2):
        both = [[row[column] for row in found] for found in (ours, theirs)]
        values = sorted(set(both[0] + both[1]))
        table = np.array([[found.count(value) for value in values] for found in both])
        rare = table.sum(0) < 20  # Chi-square wants no almost empty cells.
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
        table = table[:, table.sum(0) > 0]
        assert stats.chi2_contingency(table).pvalue > SURPRISE


def test_connections_of_depth_first_mazes_are_alike_at_opposite_corners():
    """The library's start bias breaks it; the margin brings the bias back."""
    n = 2**15

    def asymmetry(margin):
        planes = np.asarray(draw(DepthFirst(5, margin=margin), random.key(8), n))
        right = planes[:, 1, :, :-1].mean(0)
        return np.abs(right - right[::-1, ::-1]).max() / np.sqrt(2 * 0.25 / n)

    assert asymmetry(0) < 5
    assert asymmetry(1) > 8


def test_limits_of_depth_first(plain):
    few = mazes(DepthFirst(5, max_cells=7), 9, 100, plain)
    assert {len(edges) for edges in few} == {6}
    for edges in mazes(DepthFirst(5, max_depth=3), 10, 100, plain):
        cells = {cell for edge in edges for cell in edge}
        radius = min(max(plain.distances(edges, 25, cell)) for cell in cells)
        assert radius <= 3
        assert len(edges) == len(cells) - 1


def test_percolation_is_independent():
    n, p = 2**14, 0.3
    present = np.asarray(lattice.to_list(draw(Percolation(4, p), random.key(11), n)))
    z = (present.mean(0) - p) / np.sqrt(p * (1 - p) / n)
    assert np.abs(z).max() < 5
    correlation = np.corrcoef(present.T) - np.eye(24)
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    assert not draw(Percolation(4, 0.0), random.key(12), 50).any()
    full = lattice.to_list(draw(Percolation(4, 1.0), random.key(13), 50))
    assert np.asarray(full).all()


def test_percolated_mazes_keep_the_tree_and_open_walls():
    n, p = 2**13, 0.2
    key = random.key(14)
    law = Percolated(Wilson(4), p)
    opened = lattice.to_list(draw(law, jax.random.clone(key), n))
    tree = lattice.to_list(draw(Wilson(4), jax.random.split(key)[0], n))
    opened, tree = np.asarray(opened), np.asarray(tree)
    assert (opened >= tree).all()
    walls = ~tree
    rate = opened[walls].mean()
    assert abs(rate - p) < 5 * np.sqrt(p * (1 - p) / walls.sum())


@pytest.mark.parametrize(
    "law",
    [
        Percolation(4),
        DepthFirst(4),
        Hallway(4),
        Wilson(4),
        Kruskal(4),
        Percolated(DepthFirst(4)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_contract_of_laws(law):
    """Deterministic; one trace; vmapped equals looped; within the lattice."""
    key_a, key_b = jax.random.split(random.key(15))
    traces = 0

    @jax.jit
    def draw_some(law, key):
        nonlocal traces
        traces += 1
        return law.draw(key, 6)

    clone = jax.random.clone
    first, again = (draw_some(law, clone(key_a)) for _ in range(2))
    second = draw_some(law, clone(key_b))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(second)).any()
    lattice.require_connections(first)
    assert lattice.to_list(first).sum(-1).max() <= law.max_connections
    keys = jnp.stack([key_a, key_b])
    both = jax.jit(jax.vmap(lambda key: law.draw(key, 6)))(clone(keys))
    np.testing.assert_array_equal(both, jnp.stack([first, second]))
    assert traces == 1


def test_leaves_are_swept_by_vmap():
    laws = Percolation(4, jnp.array([0.0, 0.5, 1.0]))
    drawn = jax.jit(jax.vmap(lambda law: law.draw(random.key(16), 64)))(laws)
    n_open = np.asarray(lattice.to_list(drawn).sum((-1, -2)))
    assert n_open[0] == 0
    assert n_open[2] == 64 * 24
    assert 0 < n_open[1] < 64 * 24
    searches = DepthFirst(4, jnp.array([3, 16]), jnp.array([99, 99]), jnp.array([0, 0]))
    drawn = jax.jit(jax.vmap(lambda law: law.draw(random.key(17), 8)))(searches)
    found = lattice.to_list(drawn).sum(-1)
    np.testing.assert_array_equal(found, np.repeat([[2], [15]], 8, axis=1))


def test_random_numbers_below_a_count():
    n = 2**16
    draws = jax.random.bits(random.key(18), (n,))
    for count in (1, 3, 25, 961):
        found = np.asarray(choice.below(draws, jnp.full(n, count)))
        assert found.min() >= 0
        assert found.max() == count - 1
        if count > 1:
            p = stats.chisquare(np.bincount(found, minlength=count)).pvalue
            assert SURPRISE < p < 1 - SURPRISE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wilson(1), "size is 1, expected a number in \\[2, 31\\]"),
        (lambda: Wilson(4.0), "size is 4.0, expected an int"),
        (lambda: Percolation(4, 1.5), "probability holds 1.5"),
        (lambda: Percolated(Wilson(4), -1), "probability holds -1"),
        (lambda: DepthFirst(4, max_cells=0), "max_cells is 0"),
        (lambda: DepthFirst(4, margin=4), "margin is 4, expected a number in \\[0, 3\\]"),
    ],
)
def test_impossible_laws_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
