"""How concepts lie: orthogonalised by descent, in simplices, in trees, on circles."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.directions import Directions, orthogonal, random, simplex, unit_rows
from synthetic.validation import require_range


def orthogonalised(
    key: Key[Array, ""], n_features: int, d_model: int, steps: int = 200, rate: float = 0.01
) -> Directions:
    """Random unit rows after some steps of Adam towards orthogonality.

    The loss is sum_{i != j} (d_i . d_j)^2 + n sum_i (|d_i|^2 - 1)^2, and rows are
    normalised once, at the end, as in SynthSAEBench (Chanin & Garriga-Alonso, arXiv
    2602.14687; there 100 steps at 3e-4). The sum over pairs is taken from the
    d_model x d_model matrix D^T D, so a step costs n d_model^2 instead of n^2 d_model.
    """
    require_range("steps", steps, low=0)
    require_range("rate", rate, low=0.0, fix="it is a learning rate")
    optimizer = optax.adam(rate)

    def loss(rows: Directions) -> Float[Array, ""]:
        square = jnp.sum(jnp.square(rows), axis=1)
        overlap = jnp.sum(jnp.square(rows.T @ rows)) - jnp.sum(jnp.square(square))
        return overlap + n_features * jnp.sum(jnp.square(square - 1))

    def descend(_, state):
        rows, memory = state
        updates, memory = optimizer.update(jax.grad(loss)(rows), memory)
        return optax.apply_updates(rows, updates), memory

    def run(rows: Directions) -> Directions:
        state = rows, optimizer.init(rows)
        return unit_rows(jax.lax.fori_loop(0, steps, descend, state)[0])

    start = random(key, n_features, d_model)
    return run(start) if steps else start


def concept_tree(
    key: Key[Array, ""], parents: ArrayLike | Sequence[int], d_model: int
) -> Directions:
    """Directions of concepts that form a hierarchy, after Park et al. (arXiv 2406.01506).

    A child's direction is what it adds to its parent, so that the vector of a concept is
    the sum of its own direction and its ancestors'. Each is orthogonal to all its
    ancestors', and siblings form a regular simplex: k of them have cosine -1/(k - 1).
    Roots and only children are random but for that.

    Args:
        key: decides the directions.
        parents: [feature], -1 for a root (`Forest.parents`).
        d_model: at least the most ancestors of a feature plus its number of siblings,
            itself included, less one.
    """
    parents = np.asarray(parents)
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max, jnp.int32))
    normal = np.random.default_rng(seed).normal
    rows = np.zeros((len(parents), d_model))
    above: dict[int, list[int]] = {-1: []}
    waiting = [-1]
    while waiting:
        head = waiting.pop()
        children = np.flatnonzero(parents == head)
        for child in children:
            above[int(child)] = [*above[head], int(child)]
        waiting += [int(child) for child in children]
        if head < 0:
            new = normal(size=(len(children), d_model))
        else:
            new = _simplex_beside(normal, rows[above[head]], len(children))
        rows[children] = new / np.linalg.norm(new, axis=1, keepdims=True)
    return jnp.asarray(rows, jnp.float32)


def planes(key: Key[Array, ""], n_planes: int, d_model: int) -> Directions:
    """Random planes: rows 2i and 2i + 1 are orthonormal and span plane i.

    The directions of features of two dimensions (`magnitude.Circle`).
    """
    require_range("d_model", d_model, low=2, fix="a plane has two dimensions")
    keys = jax.random.split(key, n_planes)
    pairs = jax.vmap(lambda k: orthogonal(k, 2, d_model))(keys)
    return pairs.reshape(2 * n_planes, d_model)


def _simplex_beside(normal, ancestors: np.ndarray, n_siblings: int) -> np.ndarray:
    """A simplex of random orientation in the space orthogonal to orthonormal rows."""
    dimensions, d_model = max(n_siblings - 1, 1), ancestors.shape[1]
    if dimensions + len(ancestors) > d_model:
        raise ValueError(
            f"{n_siblings} siblings below {len(ancestors)} ancestors need "
            f"{dimensions + len(ancestors)} dimensions, expected at most d_model = "
            f"{d_model}; raise d_model"
        )
    free = normal(size=(dimensions, d_model))
    free -= free @ ancestors.T @ ancestors
    basis = np.linalg.qr(free.T)[0].T
    basis -= basis @ ancestors.T @ ancestors
    corners = (
        np.asarray(simplex(dimensions), np.float64) if n_siblings > 1 else np.ones((1, 1))
    )
    return corners @ basis
