"""Numbers of cells, connections and moves, on mazes done by hand and in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.maze import bits, lattice

# Cells 0 1 2 / 3 4 5 / 6 7 8; open: 0-1, 1-4, 4-3, 4-5, 5-8, 7-8.
HAND = np.zeros((2, 3, 3), bool)
HAND[0, 0, 1] = HAND[0, 1, 2] = True
HAND[1, 0, 0] = HAND[1, 1, 0] = HAND[1, 1, 1] = HAND[1, 2, 1] = True


def some_mazes(n, size):
    present = jax.random.bernoulli(random.key(size), 0.5, (n, lattice.n_connections(size)))
    return present, lattice.from_list(present, size)


def test_numbers_of_connections_by_hand():
    assert lattice.n_connections(3) == 12
    expected = [[0, 3], [1, 4], [2, 5], [3, 6], [4, 7], [5, 8]]
    expected += [[0, 1], [1, 2], [3, 4], [4, 5], [6, 7], [7, 8]]
    np.testing.assert_array_equal(lattice.ends(3), expected)
    open_ones = np.flatnonzero(lattice.to_list(jnp.asarray(HAND)))
    assert open_ones.tolist() == [1, 5, 6, 8, 9, 11]


def test_moves_by_hand():
    legal = np.asarray(lattice.legal_moves(jnp.asarray(HAND)))
    up, down, left, right = range(4)
    expected = {
        0: [right],
        1: [down, left],
        2: [],
        3: [right],
        4: [up, left, right],
        5: [down, left],
        6: [],
        7: [right],
        8: [up, left],
    }
    assert {cell: np.flatnonzero(moves).tolist() for cell, moves in enumerate(legal)} == (
        expected
    )


@pytest.mark.parametrize("size", [2, 5, 7])
def test_list_and_planes_are_the_same_maze(size, plain):
    present, mazes = some_mazes(20, size)
    np.testing.assert_array_equal(lattice.to_list(mazes), present)
    lattice.require_connections(mazes)
    legal = np.asarray(lattice.legal_moves(mazes))
    around = lattice.neighbours(size)
    for row, maze, moves in zip(present, np.asarray(mazes), legal, strict=True):
        edges = plain.edges_of(maze)
        assert edges == {
            tuple(pair) for pair in lattice.ends(size)[np.asarray(row)].tolist()
        }
        np.testing.assert_array_equal(plain.maze_of(edges, size), maze)
        for cell in range(size**2):
            reached = sorted(around[cell][moves[cell]].tolist())
            assert reached == sorted(plain.open_around(edges, cell))


@pytest.mark.parametrize("size", [2, 5, 6, 9, 31])
def test_steps_of_sets_of_cells(size):
    cells = jax.random.bernoulli(random.key(1), 0.3, (size**2, 3))

    @jax.jit
    def step(cells):
        packed = bits.pack(cells)
        beyond = [(s & ~bits.everywhere(size)).any() for s in bits.step(packed, size)]
        unpacked = [bits.unpack(s, size) for s in bits.step(packed, size)]
        return packed, bits.unpack(packed, size), unpacked, beyond

    packed, again, unpacked, beyond = step(cells)
    assert packed.shape == (-(-(size**2) // 32), 3)
    np.testing.assert_array_equal(again, cells)
    assert not any(beyond)
    around = lattice.neighbours(size)
    for move, stepped in enumerate(unpacked):
        expected = np.zeros((size**2, 3), bool)
        for cell, onward in enumerate(around[:, move]):
            if onward >= 0:
                expected[onward] = cells[cell]
        np.testing.assert_array_equal(stepped, expected)


def test_sets_of_one_cell():
    cell = jnp.array([0, 31, 32, 48, -1])
    expected = np.arange(49)[:, None] == np.asarray(cell)
    np.testing.assert_array_equal(bits.unpack(bits.of_cell(cell, 7), 7), expected)
    a, b = bits.of_cell(cell, 7), bits.of_cell(jnp.array([0, 32, 32, 0, -1]), 7)
    assert bits.meets(a, b).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("mazes", "message"),
    [
        (np.zeros((2, 3, 4), bool), "expected \\[\\*batch, 2, n, n\\]"),
        (np.zeros((3, 3, 3), bool), "expected \\[\\*batch, 2, n, n\\]"),
        (np.zeros((2, 3, 3), int), "expected bool"),
        (np.ones((2, 3, 3), bool), "leave the lattice"),
        (HAND[::-1], "swapped"),
        (np.zeros((2, 1, 1), bool), "size is 1, expected a number in \\[2, 31\\]"),
    ],
)
def test_broken_mazes_are_refused(mazes, message):
    with pytest.raises(ValueError, match=message):
        lattice.require_connections(mazes)
