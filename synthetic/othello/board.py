"""Boards of up to 8 x 8 squares as bytes, and the lines that run over them.

A set of squares is an array uint8 [row, *batch]: one byte per row, bit c for column c, as
`numpy.packbits(squares, axis=row, bitorder="little")` makes it. A step down is then the
next row and a step to the right a shift by one bit that falls off the edge on its own, and
a register holds as many boards as it has bytes. Nothing needs 64-bit integers.

A *framed* set has size - 1 empty rows above and below the board, so that a line of any
length can be looked at without asking where the board ends.
"""

from functools import reduce
from operator import or_

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, UInt8

Squares = UInt8[Array, "row *batch"]
Framed = UInt8[Array, "framed_row *batch"]
Step = tuple[int, int]

# (down, right): the eight directions, from upper left to lower right.
STEPS: tuple[Step, ...] = tuple(
    (down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)
)


def pack(squares: Bool[ArrayLike, "*batch row column"]) -> Squares:
    """Square by square to bytes."""
    squares = jnp.moveaxis(jnp.asarray(squares, bool), -2, 0)
    bit = jnp.uint8(1) << jnp.arange(squares.shape[-1], dtype=jnp.uint8)
    return jnp.sum(jnp.where(squares, bit, 0), axis=-1, dtype=jnp.uint8)


def planes(squares: Squares) -> Float[Array, "*batch square"]:
    """Bytes to 0 and 1 for every square, row by row from the upper left."""
    size = squares.shape[0]
    bits = jnp.moveaxis(squares, 0, -1)[..., None] >> jnp.arange(size, dtype=jnp.uint8) & 1
    return bits.reshape(*squares.shape[1:], size**2).astype(jnp.float32)


def framed(squares: Squares) -> Framed:
    """The set with empty rows above and below it."""
    margin = squares.shape[0] - 1
    return jnp.pad(squares, [(margin, margin)] + [(0, 0)] * (squares.ndim - 1))


def inner(frame: Framed) -> Squares:
    """The rows of the board itself, the inverse of `framed`."""
    return _behind(frame, 0)


def replaced(frame: Framed, squares: Squares) -> Framed:
    """A frame around `squares`, made from the frame around others."""
    return lax.dynamic_update_slice_in_dim(frame, squares, squares.shape[0] - 1, axis=0)


def everywhere(size: int) -> UInt8[Array, ""]:
    """All squares of a row."""
    return jnp.uint8(2**size - 1)


def some(squares: Squares) -> Bool[Array, "*batch"]:
    """Whether the set holds any square."""
    return lax.reduce(squares, jnp.uint8(0), lax.bitwise_or, (0,)) != 0


def count(squares: Squares) -> Float[Array, "*batch"]:
    """How many squares the set holds."""
    return jnp.sum(lax.population_count(squares), axis=0, dtype=jnp.float32)


def union(sets) -> Squares:
    """All squares that are in any of the sets."""
    return reduce(or_, sets)


def empty(own: Framed, opponent: Framed) -> Squares:
    """The squares without a disc."""
    occupied = inner(own) | inner(opponent)
    return ~occupied & everywhere(occupied.shape[0])


def opposite(step: Step) -> Step:
    """The way back."""
    return -step[0], -step[1]


def shifted(squares: Framed, step: Step) -> Squares:
    """Each square's neighbour in a direction; those that leave the board are gone."""
    down, right = step
    moved = _sideways(_behind(squares, down), right)
    return moved & everywhere(moved.shape[0])


def neighbours(squares: Framed) -> Squares:
    """All squares beside one of them, in any of the eight directions."""
    return union(shifted(squares, step) for step in STEPS)


def run(seeds: Framed, through: Framed, step: Step) -> Squares:
    """The squares of `through` that a walk in one direction from a seed can reach.

    A walk starts beside its seed and ends before the first square outside `through`.
    """
    return _entered(seeds, through, step, fewest=0) & inner(through)


def flanking(own: Framed, opponent: Framed, step: Step) -> Squares:
    """The empty squares that a walk from an own disc enters from an opponent's disc."""
    return _entered(own, opponent, step, fewest=1) & empty(own, opponent)


def flanked(own: Framed, opponent: Framed, squares: Framed, step: Step) -> Squares:
    """The opponent's discs between one of `squares` and, along `step`, an own disc."""
    return run(squares, opponent, step) & run(own, opponent, opposite(step))


def _entered(seeds: Framed, through: Framed, step: Step, fewest: int) -> Squares:
    """What walks from a seed enter, across `fewest` or more squares of `through` alone.

    For each square at once, from the farthest possible seed of its line to the nearest.
    """
    down, right = step
    farthest = _size(seeds) - 1
    walks = _sideways(_behind(seeds, farthest * down), right)
    for distance in range(farthest - 1, 0, -1):
        walks = walks & _behind(through, distance * down)
        if distance > fewest:
            walks = walks | _behind(seeds, distance * down)
        walks = _sideways(walks, right)
    return walks


def _size(frame: Framed) -> int:
    return (frame.shape[0] + 2) // 3


def _behind(frame: Framed, rows: int) -> Squares:
    """For each row of the board, the one that lies `rows` rows above it."""
    start = _size(frame) - 1 - rows
    return frame[start : start + _size(frame)]


def _sideways(squares: Squares, right: int) -> Squares:
    return squares << 1 if right > 0 else squares >> 1 if right < 0 else squares
