"""Mazes in plain Python: the slow and simple way, apart from the code under test."""

import itertools
from collections import Counter, deque
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest


def around(size, cell):
    """The cells beside a cell: up, down, left, right, where there are such."""
    row, column = divmod(cell, size)
    beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return [r * size + c for r, c in beside if 0 <= r < size and 0 <= c < size]


def all_edges(size):
    return sorted((a, b) for a in range(size**2) for b in around(size, a) if a < b)


def edges_of(connections):
    """The connections of one maze as a frozen set of pairs of cells (low, high)."""
    size = connections.shape[-1]
    down = [(r * size + c, (r + 1) * size + c) for r, c in np.argwhere(connections[0])]
    right = [(r * size + c, r * size + c + 1) for r, c in np.argwhere(connections[1])]
    return frozenset(down + right)


def maze_of(edges, size):
    connections = np.zeros((2, size, size), bool)
    for a, b in edges:
        connections[int(b == a + 1 and b // size == a // size)].flat[min(a, b)] = True
    return connections


def open_around(edges, cell):
    return [b if a == cell else a for a, b in edges if cell in (a, b)]


def distances(edges, n_cells, target):
    """Breadth-first search; -1 where there is no way."""
    found = [-1] * n_cells
    found[target] = 0
    queue = deque([target])
    while queue:
        cell = queue.popleft()
        for beside in open_around(edges, cell):
            if found[beside] < 0:
                found[beside] = found[cell] + 1
                queue.append(beside)
    return found


def components(edges, n_cells):
    """The lowest cell of the part of the maze that each cell is in."""
    label = list(range(n_cells))
    for a, b in edges:
        low, high = sorted((label[a], label[b]))
        label = [low if cell == high else cell for cell in label]
    return label


def is_spanning_tree(edges, size):
    return len(edges) == size**2 - 1 and not any(components(edges, size**2))


def spanning_trees(size):
    subsets = itertools.combinations(all_edges(size), size**2 - 1)
    return [frozenset(edges) for edges in subsets if is_spanning_tree(edges, size)]


def depth_first_law(size, starts, max_cells=99, max_depth=99):
    """The exact probability of every maze, by following all choices of the search."""

    def follow(stack, edges):
        if not stack:
            return {edges: Fraction(1)}
        seen = {cell for edge in edges for cell in edge} | {stack[0]}
        new = [cell for cell in around(size, stack[-1]) if cell not in seen]
        if not new or len(seen) >= max_cells or len(stack) > max_depth:
            return follow(stack[:-1], edges)
        law = Counter()
        for cell in new:
            edge = (min(cell, stack[-1]), max(cell, stack[-1]))
            for maze, p in follow((*stack, cell), edges | {edge}).items():
                law[maze] += p / len(new)
        return law

    law = Counter()
    for start in starts:
        for maze, p in follow((start,), frozenset()).items():
            law[maze] += p / len(starts)
    return law


def package_depth_first_law(size, starts, max_cells, max_tree_depth):
    """As maze-dataset 1.4.2 does it, exactly: a cell with one new neighbour leaves the
    stack for good, but the depth that is counted stays, so that limited mazes end early.
    """

    def follow(stack, edges, depth):
        seen = {cell for edge in edges for cell in edge} | {start}
        if not stack or len(seen) >= max_cells:
            return {edges: Fraction(1)}
        *below, here = stack
        new = [cell for cell in around(size, here) if cell not in seen]
        if not new or depth > max_tree_depth / 2:
            return follow(below, edges, depth - 1)
        law, kept = Counter(), [here] if len(new) > 1 else []
        for cell in new:
            edge = (min(cell, here), max(cell, here))
            for maze, p in follow([*below, *kept, cell], edges | {edge}, depth + 1).items():
                law[maze] += p / len(new)
        return law

    law = Counter()
    for start in starts:
        for maze, p in follow([start], frozenset(), 1).items():
            law[maze] += p / len(starts)
    return law


def kruskal_law(size):
    """Exact: the next connection is uniform over those that join two components."""
    law = {frozenset(): Fraction(1)}
    for _ in range(size**2 - 1):
        following = Counter()
        for edges, p in law.items():
            label = components(edges, size**2)
            joins = [(a, b) for a, b in all_edges(size) if label[a] != label[b]]
            for edge in joins:
                following[edges | {edge}] += p / len(joins)
        law = following
    return law


def depth_first_maze(rng, size):
    """Recursive: visit the neighbours of a cell in random order."""
    edges, seen = set(), set()

    def visit(cell):
        seen.add(cell)
        for beside in rng.permutation(around(size, cell)).tolist():
            if beside not in seen:
                edges.add((min(cell, beside), max(cell, beside)))
                visit(beside)

    visit(int(rng.integers(size**2)))
    return frozenset(edges)


def wilson_maze(rng, size):
    """Loop-erased random walks, as the algorithm is usually told."""
    edges, inside = set(), {int(rng.integers(size**2))}
    for start in range(size**2):
        walk = [start]
        while walk[-1] not in inside:
            onward = int(rng.choice(around(size, walk[-1])))
            walk = walk[: walk.index(onward) + 1] if onward in walk else [*walk, onward]
        inside |= set(walk)
        edges |= {(min(pair), max(pair)) for pair in itertools.pairwise(walk)}
    return frozenset(edges)


@pytest.fixture(scope="session")
def plain():
    return SimpleNamespace(**{k: v for k, v in globals().items() if callable(v)})
