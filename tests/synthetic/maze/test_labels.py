"""Labels by hand, against the maze in plain Python, and the implications among them."""

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.hierarchy.forest import Forest
from synthetic.maze import features, lattice, raster
from synthetic.maze.game import MazeGame
from synthetic.maze.generate import Percolated, Percolation, Wilson

SIZE, N = 4, 60
LAWS = [Wilson(SIZE), Percolated(Wilson(SIZE), 0.3), Percolation(SIZE, 0.45)]


@pytest.fixture(scope="module", params=LAWS, ids=["tree", "cycles", "any"])
def case(request):
    game = MazeGame.of(request.param)
    drawn = jax.jit(lambda game, key: game.sample(key, N))(game, random.key(1))
    return game.layout, jax.tree.map(np.asarray, drawn)


def test_labels_of_cells(case, plain):
    _, drawn = case
    maze, truth = drawn.maze, drawn.labels
    for i in range(N):
        edges = plain.edges_of(maze.connections[i])
        path = [cell for cell in maze.path[i].tolist() if cell >= 0]
        degree = Counter(cell for edge in edges for cell in edge)
        distance = plain.distances(edges, SIZE**2, path[-1])
        for cell in range(SIZE**2):
            beside = plain.open_around(edges, cell)
            on_path = cell in path
            elsewhere = set(beside) - (
                {
                    other
                    for other in beside
                    if on_path
                    and other in path
                    and abs(path.index(other) - path.index(cell)) == 1
                }
            )
            nearer = sum(distance[b] == distance[cell] - 1 for b in beside)
            expected = {
                "degree": degree[cell],
                "distance": distance[cell],
                "reachable": distance[cell] >= 0,
                "on_path": on_path,
                "origin": cell == path[0],
                "target": cell == path[-1],
                "dead_end": degree[cell] == 1,
                "corridor": degree[cell] == 2,
                "junction": degree[cell] > 2,
                "fork": on_path and bool(elsewhere),
                "tie": nearer > 1,
            }
            found = {name: getattr(truth, name)[i, cell] for name in expected}
            assert found == expected


def test_labels_of_connections(case, plain):
    _, drawn = case
    truth, size = drawn.labels, SIZE
    pairs = [tuple(pair) for pair in lattice.ends(size).tolist()]
    for i in range(N):
        edges = plain.edges_of(drawn.maze.connections[i])
        path = [cell for cell in drawn.maze.path[i].tolist() if cell >= 0]
        taken = {(min(s), max(s)) for s in itertools.pairwise(path)}
        assert truth.connection[i].tolist() == [pair in edges for pair in pairs]
        assert truth.wall[i].tolist() == [pair not in edges for pair in pairs]
        assert truth.path_connection[i].tolist() == [pair in taken for pair in pairs]
        below = [sum(b - a == size for a, b in edges if a // size == r) for r in range(3)]
        beside = [sum(b - a == 1 for a, b in edges if a % size == c) for c in range(3)]
        assert truth.open_below[i].tolist() == below
        assert truth.open_beside[i].tolist() == beside


def test_labels_of_tokens_follow_the_words(case, plain):
    """Read the words one by one, keep notes, and compare at every token."""
    layout, drawn = case
    pairs = [tuple(pair) for pair in lattice.ends(SIZE).tolist()]
    around = lattice.neighbours(SIZE)
    for i in range(N // 3):
        words = [layout.words[w] for w in drawn.tokens[i]]
        cell_of = {word: n for n, word in enumerate(layout.words[11:])}
        edges = plain.edges_of(drawn.maze.connections[i])
        distance = plain.distances(edges, SIZE**2, drawn.maze.target[i])
        listed, visited, in_path, last = set(), set(), False, None
        for t, word in enumerate(words):
            reading, here, legal, best, to_go = None, None, set(), set(), -1
            if t >= 2 and words[t - 1] == "<-->":
                pair = sorted((cell_of[words[t - 2]], cell_of[word]))
                reading = pairs.index(tuple(pair))
            elif word == ";":
                reading = last
            in_path |= word == "<PATH_START>"
            if in_path and word in cell_of:
                here = cell_of[word]
                legal = set(plain.open_around(edges, here))
                best = {b for b in legal if distance[b] == distance[here] - 1}
                to_go = distance[here]
            listed |= {reading} - {None}
            visited |= {here} - {None}
            last = reading
            at = [np.asarray(plane[i, t]) for plane in drawn.token_labels]
            assert np.flatnonzero(at[0]).tolist() == [x for x in [reading] if x is not None]
            assert set(np.flatnonzero(at[1]).tolist()) == listed
            assert np.flatnonzero(at[2]).tolist() == [x for x in [here] if x is not None]
            assert set(np.flatnonzero(at[3]).tolist()) == visited
            for plane, expected in ((at[4], legal), (at[5], best)):
                cell = 0 if here is None else here
                assert set(around[cell][plane].tolist()) == expected
            assert at[6] == to_go


@pytest.mark.parametrize("kind", ["maze", "token"])
def test_a_child_is_true_only_where_its_parent_is(case, kind):
    _, drawn = case
    truth = drawn.labels if kind == "maze" else drawn.token_labels
    values = np.asarray(features.stack(jax.tree.map(jnp.asarray, truth)))
    values = values.reshape(-1, values.shape[-1])
    parents, names = features.parents(SIZE, kind), features.names(SIZE, kind)
    assert values.shape[1] == len(parents) == len(names) == len(set(names))
    child = np.flatnonzero(parents >= 0)
    assert (values[:, child] <= values[:, parents[child]]).all()
    # Children are seen (but for ties, which trees have not), and are not their parents.
    is_tie = np.array([names[i].startswith("tie") for i in child])
    assert values[:, child[~is_tie]].any(0).mean() > 0.9
    assert (values[:, child] < values[:, parents[child]]).any(0).all()


def test_features_are_the_labels_of_their_names(case):
    _, drawn = case
    for kind, truth in (("maze", drawn.labels), ("token", drawn.token_labels)):
        values = np.asarray(features.stack(jax.tree.map(jnp.asarray, truth)))
        for name, place in features.groups(SIZE, kind).items():
            expected = getattr(truth, name).reshape(*values.shape[:-1], -1)
            np.testing.assert_array_equal(values[..., place], expected)


def test_parents_by_name():
    def parent_of(kind):
        names, parents = features.names(3, kind), features.parents(3, kind)
        above = [names[parent] if parent >= 0 else None for parent in parents]
        return dict(zip(names, above, strict=True))

    of_maze, of_token = parent_of("maze"), parent_of("token")
    assert of_maze["path_connection (0,1)-(1,1)"] == "connection (0,1)-(1,1)"
    assert of_maze["best (1,1) up"] == "connection (0,1)-(1,1)"
    assert of_maze["best (1,1) right"] == "connection (1,1)-(1,2)"
    assert of_maze["best (0,2) up"] is None
    assert of_maze["fork (2,0)"] == of_maze["origin (2,0)"] == "on_path (2,0)"
    assert of_maze["on_path (2,0)"] == "reachable (2,0)"
    assert of_maze["connection (0,1)-(1,1)"] is None
    assert of_token["listing (1,1)-(1,2)"] == "listed (1,1)-(1,2)"
    assert of_token["here (0,1)"] == "visited (0,1)"
    assert of_token["best left"] == "legal left"


@pytest.mark.parametrize("kind", ["maze", "token"])
def test_groups_divide_the_features(kind):
    names, where = features.names(3, kind), features.groups(3, kind)
    for name, place in where.items():
        assert {full.split()[0] for full in names[place]} == {name}
    assert sum(place.stop - place.start for place in where.values()) == len(names)
    assert Forest.of(features.parents(3, kind)).n_features == len(names)


def test_a_picture_by_hand():
    """Cells 0 1 / 2 3, open 0-1, 1-3, 2-3, from 0 to 3."""
    maze = lattice.Maze(
        lattice.from_list(jnp.array([False, True, True, True]), 2),
        jnp.array(0),
        jnp.array(3),
        jnp.array([0, 1, 3, -1]),
    )
    letters = np.array(list("# OTx"))[np.asarray(jax.jit(raster.pixels)(maze))]
    assert ["".join(row) for row in letters] == [
        "#####",
        "#Oxx#",
        "###x#",
        "#  T#",
        "#####",
    ]


def test_pictures_of_batches(case):
    _, drawn = case
    pixels = np.asarray(jax.jit(raster.pixels)(drawn.maze))
    assert pixels.shape == (N, 9, 9)
    ways = (pixels[:, 1:-1, 1:-1] != raster.WALL).sum((1, 2))
    np.testing.assert_array_equal(ways, 16 + drawn.maze.connections.sum((1, 2, 3)))
    coloured = (pixels >= raster.ORIGIN).sum((1, 2))
    np.testing.assert_array_equal(coloured, 2 * (drawn.maze.path >= 0).sum(1) - 1)
