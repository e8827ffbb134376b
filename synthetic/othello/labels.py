"""Labels of positions: the values of chosen families, their names, and what implies what.

Some families imply others, square by square: a legal move's square is empty. `parents` are
these implications, each true in every position of every game. (The last move and what it
flipped have no parent: they are the opponent's, but after a pass they are mine.)
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synthetic.othello.families import AXES, FAMILIES, Family
from synthetic.othello.positions import Position
from synthetic.othello.rules import Rules


def values(
    rules: Rules, position: Position, families: Sequence[str]
) -> Float[Array, "*batch feature"]:
    """The values of all features of these families, one family after the other.

    Raises:
        ValueError: there is no such family.
    """
    batch, found = position.ply.shape, []
    for family in map(_family, families):
        value = family.values(rules, position)
        squares = family.squares(rules.size)
        if 0 < len(squares) < rules.size**2:
            value = value[..., squares]
        found.append(jnp.reshape(value, (*batch, -1)).astype(jnp.float32))
    return jnp.concatenate(found, axis=-1)


def names(size: int, families: Sequence[str]) -> list[str]:
    """A name per feature: family, leading axes and square, as "via n c3"."""
    found = []
    for name in families:
        family = _family(name)
        parts = [list(AXES[axis](size)) for axis in family.axes]
        if len(family.squares(size)):
            parts.append([square_name(size, s) for s in family.squares(size)])
        for index in np.ndindex(*map(len, parts)):
            chosen = [part[i] for part, i in zip(parts, index, strict=True)]
            found.append(" ".join([name, *chosen]))
    return found


def parents(size: int, families: Sequence[str]) -> Int[np.ndarray, " feature"]:
    """The feature that each feature implies, -1 where it has none among these families."""
    shapes = {name: _shape(size, _family(name)) for name in families}
    counts = [int(np.prod(shapes[name])) for name in families]
    first = dict(zip(families, np.cumsum([0, *counts[:-1]]), strict=True))
    found = []
    for name, count in zip(families, counts, strict=True):
        family = FAMILIES[name]
        if family.parent not in first:
            found.append(np.full(count, -1))
            continue
        shape = shapes[family.parent]
        index = np.indices(shapes[name])
        square = family.squares(size)[index[-1]]
        place = np.ravel_multi_index((*index[: len(shape) - 1], square), shape)
        found.append(first[family.parent] + place.reshape(-1))
    return np.concatenate(found)


def kinds(size: int, families: Sequence[str]) -> list[str]:
    """Of each feature: binary, graded or control."""
    counts = {name: int(np.prod(_shape(size, _family(name)))) for name in families}
    return [FAMILIES[name].kind for name, count in counts.items() for _ in range(count)]


def count(size: int, families: Sequence[str]) -> int:
    """The number of features of these families."""
    return sum(int(np.prod(_shape(size, _family(name)))) for name in families)


def square_name(size: int, square: int) -> str:
    """The letter of the column and the number of the row; a1 is the upper left square."""
    row, column = divmod(int(square), size)
    return f"{'abcdefgh'[column]}{row + 1}"


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(
            f"there is no family {name!r}, expected one of {', '.join(FAMILIES)}; features "
            "are chosen by family"
        )
    return FAMILIES[name]


def _shape(size: int, family: Family) -> tuple[int, ...]:
    leading = tuple(len(AXES[axis](size)) for axis in family.axes)
    n_squares = len(family.squares(size))
    return (*leading, n_squares) if n_squares else leading
