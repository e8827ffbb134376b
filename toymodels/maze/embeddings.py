"""Whether the embeddings of cells know where the cells lie.

Nothing in a prompt says that cell (0,0) is beside (0,1), but which cells are ever
connected. Ivanitskiy et al. 2023 (arXiv 2312.02566) compare distances of embeddings with
distances on the lattice, both as sums of absolute differences; their larger model reaches
a correlation of 0.368.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.maze.tokens import FIRST_CELL
from synthetic.validation import require_width
from toymodels.transformer import Transformer


def embedding_distances(model: Transformer, size: int) -> Float[np.ndarray, "cell cell"]:
    """Sums of absolute differences of the embeddings of any two cells.

    Raises:
        ValueError: the model's vocabulary is not that of mazes of this size.
    """
    fix = "give the size of the mazes that the model reads"
    require_width("the vocabulary", model.W_E.shape[0], FIRST_CELL + size**2, fix)
    cells = np.asarray(model.W_E[...])[FIRST_CELL:]
    return np.abs(cells[:, None] - cells).sum(-1)


def lattice_distances(size: int) -> Float[np.ndarray, "cell cell"]:
    """|row - row'| + |column - column'|: steps between cells if there were no walls."""
    row, column = np.divmod(np.arange(size**2), size)
    return 1.0 * np.abs(row[:, None] - row) + np.abs(column[:, None] - column)


def agreement(
    found: Float[np.ndarray, "cell cell"], true: Float[np.ndarray, "cell cell"]
) -> float:
    """Pearson's correlation over all pairs of different cells."""
    pairs = np.triu_indices(len(true), 1)
    return float(np.corrcoef(found[pairs], true[pairs])[0, 1])


def shuffled(
    key: Key[Array, ""],
    found: Float[np.ndarray, "cell cell"],
    true: Float[np.ndarray, "cell cell"],
    n_shuffles: int = 1_000,
) -> Float[np.ndarray, " shuffle"]:
    """The agreement after cells were exchanged at random (the permutations of a Mantel
    test, which keep the distances of each cell together).
    """
    keys = jax.random.split(key, n_shuffles)
    orders = np.asarray(jax.vmap(lambda k: jax.random.permutation(k, len(true)))(keys))
    return np.array([agreement(found[np.ix_(order, order)], true) for order in orders])


def principal_plane(model: Transformer) -> Float[np.ndarray, "cell 2"]:
    """The cells' embeddings in the plane of their largest variance."""
    cells = jnp.asarray(model.W_E[...])[FIRST_CELL:]
    centred = cells - cells.mean(axis=0)
    U, S, _ = jnp.linalg.svd(centred, full_matrices=False)
    return np.asarray(U[:, :2] * S[:2])
