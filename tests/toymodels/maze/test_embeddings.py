"""Embeddings that are the lattice, and ones that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.maze.tokens import FIRST_CELL
from toymodels.maze import embeddings
from toymodels.transformer import Transformer


def planted(size):
    """A model whose embedding of cell (r, c) is (r, c, 0, ...)."""
    model = Transformer(random.key(170), FIRST_CELL + size**2, 9, 8, 1, 2)
    row, column = np.divmod(np.arange(size**2), size)
    cells = jnp.zeros((size**2, 8)).at[:, 0].set(row).at[:, 1].set(column)
    model.W_E[...] = model.W_E[...].at[FIRST_CELL:].set(cells)
    return model


def test_embeddings_that_are_the_lattice_agree_with_it():
    true = embeddings.lattice_distances(4)
    assert true[0, 15] == 6  # three rows and three columns
    assert true[5, 6] == true[5, 9] == 1
    found = embeddings.embedding_distances(planted(4), 4)
    np.testing.assert_allclose(found, true, atol=1e-6)
    assert embeddings.agreement(found, true) == pytest.approx(1)
    plane = embeddings.principal_plane(planted(4))
    # Both axes of a square lattice have the variance of 0..3, which is 5 / 4.
    np.testing.assert_allclose(plane.var(axis=0), [1.25, 1.25], atol=1e-4)


def test_exchanged_cells_agree_by_chance():
    """Over all permutations the mean correlation is 0."""
    true = embeddings.lattice_distances(4)
    found = embeddings.shuffled(random.key(171), true, true, 1_000)
    assert abs(found.mean()) < 4 * found.std() / 1_000**0.5
    assert found.max() < 1


def test_a_model_of_other_mazes_is_refused():
    with pytest.raises(ValueError, match="the vocabulary is 27, expected 20"):
        embeddings.embedding_distances(planted(4), 3)


def test_random_embeddings_do_not_know_the_lattice():
    size = 5
    models = jax.vmap(lambda k: Transformer(k, FIRST_CELL + size**2, 9, 32, 1, 2).W_E[...])
    weights = models(jax.random.split(random.key(172), 20))[:, FIRST_CELL:]
    true = embeddings.lattice_distances(size)
    found = [
        embeddings.agreement(np.abs(w[:, None] - w).sum(-1), true)
        for w in np.asarray(weights)
    ]
    assert abs(np.mean(found)) < 0.1
