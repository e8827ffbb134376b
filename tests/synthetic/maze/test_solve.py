"""Distances, next steps and paths against breadth-first search in plain Python."""

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random
from synthetic.maze import lattice, solve
from synthetic.maze.generate import Percolation, Wilson

SIZE, N = 6, 120  # 36 cells: two words of bits
SURPRISE = 1e-6

# Nothing but a ring around the square of 3 by 3 cells: two ways round.
RING = np.zeros((2, 3, 3), bool)
RING[0, :2, 0] = RING[0, :2, 2] = RING[1, 0, :2] = RING[1, 2, :2] = True


draw = jax.jit(lambda law, key, n: law.draw(key, n), static_argnums=2)
draw_ends = jax.jit(solve.draw_ends)
grade = jax.jit(solve.grade)


@jax.jit
def solved(law, key):
    key_maze, key_ends, key_path = jax.random.split(key, 3)
    connections = law.draw(key_maze, N)
    origin, target = solve.draw_ends(key_ends, connections)
    maze = solve.solve(key_path, connections, origin, target)
    distance = solve.distances(connections, target)
    moves = solve.next_moves(connections, distance)
    return (
        maze,
        distance,
        moves,
        solve.components(connections),
        solve.grade(maze, maze.path),
    )


@pytest.fixture(scope="module", params=[0.3, 0.55, 0.8, 1.0])
def case(request):
    return jax.tree.map(np.asarray, solved(Percolation(SIZE, request.param), random.key(1)))


def test_distances_and_best_moves(case, plain):
    maze, distance, moves, *_ = case
    for i in range(N):
        edges = plain.edges_of(maze.connections[i])
        expected = plain.distances(edges, SIZE**2, maze.target[i])
        assert distance[i].tolist() == expected
        for cell in range(SIZE**2):
            best = {
                beside
                for beside in plain.open_around(edges, cell)
                if expected[beside] == expected[cell] - 1
            }
            assert best == set(lattice.neighbours(SIZE)[cell][moves[i, cell]].tolist())


def test_paths_are_shortest(case, plain):
    maze, distance, _, _, graded = case
    for i in range(N):
        edges = plain.edges_of(maze.connections[i])
        path = [cell for cell in maze.path[i].tolist() if cell >= 0]
        assert maze.path[i, len(path) :].tolist() == [-1] * (SIZE**2 - len(path))
        assert (path[0], path[-1]) == (maze.origin[i], maze.target[i])
        assert len(path) - 1 == distance[i, path[0]]
        for a, b in itertools.pairwise(path):
            assert (min(a, b), max(a, b)) in edges
    assert graded.shortest.all()
    assert graded.n_walls.sum() == 0


def test_ends_are_connected_and_differ(case):
    maze, distance, *_ = case
    has_any = maze.connections.any((1, 2, 3))
    steps = distance[np.arange(N), maze.origin]
    assert has_any.any()
    assert (steps[has_any] >= 1).all()


def test_components(case, plain):
    maze, _, _, component, _ = case
    for i in range(N):
        edges = plain.edges_of(maze.connections[i])
        assert component[i].tolist() == plain.components(edges, SIZE**2)


def test_a_maze_without_connections_has_a_path_of_one_cell():
    maze, distance, *_ = solved(Percolation(SIZE, 0.0), random.key(2))
    np.testing.assert_array_equal(maze.origin, maze.target)
    np.testing.assert_array_equal(maze.path[:, 0], maze.origin)
    assert (maze.path[:, 1:] == -1).all()
    assert ((distance == 0).sum(1) == 1).all()


def test_every_best_step_is_equally_likely():
    """In a lattice without walls from corner to corner, three choices decide a path of
    (0, 0) to (2, 2): P(path) is 1/2 per step while both coordinates are off.
    """
    n = 2**13
    full = lattice.from_list(jnp.ones((n, 12), bool), 3)
    ends = jnp.zeros(n, int), jnp.full(n, 8)
    paths = jax.jit(solve.solve, static_argnums=4)(random.key(3), full, *ends, 6).path
    found = Counter(tuple(path[:5]) for path in np.asarray(paths).tolist())
    assert (np.asarray(paths)[:, 5] == -1).all()
    expected = {
        (0, 1, 2, 5, 8): 1 / 4,
        (0, 1, 4, 5, 8): 1 / 8,
        (0, 1, 4, 7, 8): 1 / 8,
        (0, 3, 4, 5, 8): 1 / 8,
        (0, 3, 4, 7, 8): 1 / 8,
        (0, 3, 6, 7, 8): 1 / 4,
    }
    assert set(found) == set(expected)
    observed = [found[path] for path in expected]
    p = stats.chisquare(observed, [n * q for q in expected.values()]).pvalue
    assert SURPRISE < p < 1 - SURPRISE


def test_ends_are_uniform_over_pairs_in_a_tree():
    n = 2**14
    tree = draw(Wilson(3), random.key(4), 1)
    ends = draw_ends(random.key(5), jnp.broadcast_to(tree, (n, 2, 3, 3)))
    pairs = Counter(zip(*(np.asarray(end).tolist() for end in ends), strict=True))
    assert len(pairs) == 72
    p = stats.chisquare(list(pairs.values())).pvalue
    assert SURPRISE < p < 1 - SURPRISE


@pytest.mark.parametrize(("low", "high"), [(3, 4), (1, 2), (50, 60)])
def test_lengths_are_within_bounds_or_as_long_as_can_be(low, high):
    connections = draw(Wilson(4), random.key(6), 200)
    origin, target = draw_ends(random.key(7), connections, low, high)
    distance = np.asarray(jax.jit(solve.distances)(connections, target))
    steps = distance[np.arange(200), np.asarray(origin)]
    furthest = distance.max(1)
    assert ((steps >= low) | (steps == furthest)).all()
    assert (steps <= high).all()


def test_two_ways_round_a_ring():
    distance = solve.distances(jnp.asarray(RING), jnp.array(0))
    assert distance.tolist() == [0, 1, 2, 1, -1, 3, 2, 3, 4]
    moves = np.asarray(solve.next_moves(jnp.asarray(RING), distance))
    up, left = 0, 2
    assert np.flatnonzero(moves[8]).tolist() == [up, left]
    assert moves.sum() == 1 + 1 + 1 + 1 + 1 + 1 + 2


@pytest.mark.parametrize(
    ("walk", "valid", "reaches", "shortest", "n_walls"),
    [
        ([8, 5, 2, 1, 0], True, True, True, 0),
        ([8, 7, 6, 3, 0], True, True, True, 0),
        ([8, 5, 2, 5, 2, 1, 0], True, True, False, 0),
        ([8, 7, 4, 3, 0], False, True, False, 2),
        ([8, 0], False, True, False, 1),
        ([8, 5], True, False, False, 0),
        ([5, 2, 1, 0], False, True, False, 0),
        ([], False, False, False, 0),
    ],
)
def test_grades_by_hand(walk, valid, reaches, shortest, n_walls):
    maze = lattice.Maze(jnp.asarray(RING), jnp.array(8), jnp.array(0), jnp.zeros(0))
    padded = jnp.array(walk + [-1] * (8 - len(walk)))
    assert [int(x) for x in solve.grade(maze, padded)] == [
        valid,
        reaches,
        shortest,
        n_walls,
    ]


def test_no_way_leaves_the_origin_alone():
    maze = solve.solve(
        random.key(8), jnp.asarray(RING)[None], jnp.array([4]), jnp.array([0])
    )
    assert maze.path[0].tolist() == [4] + [-1] * 8


def test_batches_of_any_shape(plain):
    connections = draw(Wilson(4), random.key(9), 6)
    target = jnp.arange(6)
    flat = solve.distances(connections, target)
    block = solve.distances(connections.reshape(2, 3, 2, 4, 4), target.reshape(2, 3))
    np.testing.assert_array_equal(block.reshape(6, 16), flat)
    mapped = jax.jit(jax.vmap(solve.distances))(connections, target)
    np.testing.assert_array_equal(mapped, flat)
