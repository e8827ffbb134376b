"""Labels as features: a vector of ones and zeros for every maze or token, with names.

Two kinds: "maze" for `labels.Labels`, "token" for `labels.TokenLabels`. `parents` says
which feature implies which, in the form of `synthetic.hierarchy.forest`.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synthetic.maze import lattice
from synthetic.maze.labels import Labels, TokenLabels
from synthetic.maze.lattice import MOVES

Kind = Literal["maze", "token"]

# What each group has a feature for, and the group that it implies.
GROUPS: dict[Kind, dict[str, tuple[str, str | None]]] = {
    "maze": {
        "connection": ("connection", None),
        "wall": ("connection", None),
        "path_connection": ("connection", "connection"),
        "reachable": ("cell", None),
        "on_path": ("cell", "reachable"),
        "origin": ("cell", "on_path"),
        "target": ("cell", "on_path"),
        "dead_end": ("cell", None),
        "corridor": ("cell", None),
        "junction": ("cell", None),
        "fork": ("cell", "on_path"),
        "tie": ("cell", "reachable"),
        "best": ("cell move", "connection"),
    },
    "token": {
        "listing": ("connection", "listed"),
        "listed": ("connection", None),
        "here": ("cell", "visited"),
        "visited": ("cell", None),
        "legal": ("move", None),
        "best": ("move", "legal"),
    },
}


def stack(labels: Labels | TokenLabels) -> Float[Array, "*batch feature"]:
    """The yes-or-no labels as features, 1 or 0, in the order of `names`."""
    kind: Kind = "maze" if isinstance(labels, Labels) else "token"
    batch = labels[0].shape[:-1]
    parts = [getattr(labels, name).reshape(*batch, -1) for name in GROUPS[kind]]
    return jnp.concatenate(parts, axis=-1).astype(jnp.float32)


def names(size: int, kind: Kind) -> list[str]:
    """A name for every feature: which group, and which cell, connection or move."""
    places = _places(size)
    return [
        f"{name} {of}" for name, (what, _) in GROUPS[kind].items() for of in places[what]
    ]


def groups(size: int, kind: Kind) -> dict[str, slice]:
    """Where every group is among the features."""
    places, found, start = _places(size), {}, 0
    for name, (what, _) in GROUPS[kind].items():
        found[name] = slice(start, start + len(places[what]))
        start = found[name].stop
    return found


def parents(size: int, kind: Kind) -> Int[np.ndarray, " feature"]:
    """A feature that each feature implies, -1 where there is none.

    What is on the path can reach the target, and its connections are open; ends and forks
    are on the path; a best move is open. This holds where there is a way from origin to
    target. A best move out of the lattice never happens and has no parent.
    """
    where = groups(size, kind)
    found = np.full(max(place.stop for place in where.values()), -1)
    for name, (what, above) in GROUPS[kind].items():
        if above is None:
            continue
        parent = np.arange(where[above].start, where[above].stop)
        if what == "cell move":
            number = _connection_of_move(size).reshape(-1)
            parent = np.where(number >= 0, parent[number], -1)
        found[where[name]] = parent
    return found


def _places(size: int) -> dict[str, list[str]]:
    cells = [f"({row},{column})" for row, column in np.ndindex(size, size)]
    return {
        "cell": cells,
        "connection": [f"{cells[a]}-{cells[b]}" for a, b in lattice.ends(size)],
        "move": list(MOVES),
        "cell move": [f"{cell} {move}" for cell in cells for move in MOVES],
    }


def _connection_of_move(size: int) -> Int[np.ndarray, "cell 4"]:
    """The connection that a move takes, -1 out of the lattice."""
    number = np.full((size**2, 4), -1)
    upper, lower = lattice.ends(size).T
    edges = np.arange(len(upper))
    is_down = edges < size * (size - 1)
    number[upper, np.where(is_down, 1, 3)] = edges
    number[lower, np.where(is_down, 0, 2)] = edges
    return number
