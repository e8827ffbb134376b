"""Which polytopes the features form: the geometry graph, taken apart and named.

Represented features are the vertices of a graph, joined where they are not orthogonal. Its
connected components span orthogonal subspaces, so the dimensionality of each is that of a
polytope standing alone. A bipyramid comes apart into its tegum factors: five vertices over
a triangle are a triangle (2/3 each) and a digon (1/2 each), not five times 3/5.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse.csgraph import connected_components

from synthetic.validation import require_range

REPRESENTED = 0.5
JOINED = 0.1

_ALIKE_DIMENSIONALITY = 0.03
_ALIKE_COSINE = 0.1
_RANK_CUTOFF = 0.2

Rows = Float[np.ndarray, "feature hidden"] | Float[Array, "feature hidden"]


class Polytope(NamedTuple):
    """Attributes:
    name: "own dimension", "digon", "triangle", ...; "6 points in 4-d" when none fits.
    features: the rows of W that are its vertices.
    dimensionality: D_i of each, within the polytope.
    """

    name: str
    features: Int[np.ndarray, " vertex"]
    dimensionality: Float[np.ndarray, " vertex"]


def components(
    W: Rows, represented: float = REPRESENTED, joined: float = JOINED
) -> Int[np.ndarray, " feature"]:
    """Connected components of the geometry graph, numbered from the largest.

    Args:
        W: rows W_i.
        represented: rows that are longer than this are vertices.
        joined: |cosine| above which two of them share an edge.

    Returns:
        The number of each row's component, from 0; -1 for a row that is not represented.
    """
    require_range("represented", represented, low=0.0, fix="it is the length of a row")
    require_range("joined", joined, 0.0, 1.0, "it is the size of a cosine")
    W = np.asarray(W, float)
    held = np.flatnonzero(np.linalg.norm(W, axis=1) > represented)
    number = np.full(len(W), -1)
    if len(held):
        edges = np.abs(_cosines(W[held])) > joined
        found = connected_components(edges, directed=False)[1]
        rank = np.argsort(np.argsort(-np.bincount(found), kind="stable"))
        number[held] = rank[found]
    return number


def find_polytopes(
    W: Rows, represented: float = REPRESENTED, joined: float = JOINED
) -> list[Polytope]:
    """The components of the geometry graph, each with its name; see `components`."""
    W = np.asarray(W, float)
    number = components(W, represented, joined)
    found = []
    for c in range(number.max(initial=-1) + 1):
        rows = np.flatnonzero(number == c)
        vertices = W[rows]
        found.append(Polytope(name_polytope(vertices), rows, _dimensionality(vertices)))
    return found


def name_polytope(vertices: Rows) -> str:
    """The polytope whose vertices these are, whatever its size and orientation.

    A name is given when the number of vertices agrees, every D_i is within 0.03, and every
    cosine, sorted, within 0.1 of the ideal polytope's. D_i alone does not tell a cube from
    a square antiprism: both are tight frames of eight vertices, 3/8 each.
    """
    V = np.asarray(vertices, float)
    D, cosine = np.sort(_dimensionality(V)), _sorted_cosines(V)
    for name, ideal in IDEAL.items():
        if (
            len(ideal) == len(V)
            and np.allclose(D, np.sort(_dimensionality(ideal)), 0, _ALIKE_DIMENSIONALITY)
            and np.allclose(cosine, _sorted_cosines(ideal), 0, _ALIKE_COSINE)
        ):
            return name
    singular = np.linalg.svd(V, compute_uv=False)
    rank = int((singular > _RANK_CUTOFF * singular[0]).sum())
    return f"{len(V)} points in {rank}-d"


def _cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def _sorted_cosines(rows: np.ndarray) -> np.ndarray:
    return np.sort(_cosines(rows)[np.triu_indices(len(rows), 1)])


def _dimensionality(rows: np.ndarray) -> np.ndarray:
    products = rows @ rows.T
    return np.diag(products) ** 2 / (products**2).sum(axis=1)


def _simplex(n_vertices: int) -> np.ndarray:
    return np.eye(n_vertices) - 1 / n_vertices


def _polygon(n_vertices: int, turn: float = 0.0) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n_vertices) / n_vertices + turn
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _square_antiprism() -> np.ndarray:
    """Of the height that makes a tight frame."""
    flat = np.concatenate([_polygon(4), _polygon(4, np.pi / 4)])
    return np.column_stack([flat, np.repeat([-1, 1], 4) / 2**0.5])


IDEAL = {
    "own dimension": np.ones((1, 1)),
    "digon": np.array([[1.0], [-1.0]]),
    "triangle": _simplex(3),
    "tetrahedron": _simplex(4),
    "4-simplex": _simplex(5),
    "5-simplex": _simplex(6),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "heptagon": _polygon(7),
    "square antiprism": _square_antiprism(),
}
