"""Online dictionary learning: its pass over the rows, and a planted dictionary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import OnlineDictionary, online
from toymodels.scores import geometry


def test_a_pass_over_the_rows_by_hand():
    """A = [[2, 1], [1, 1]] and rows (0, 0), (1, 0): the first becomes
    (B_1 - A_1 W) / 2 = ((3, 0) - (1, 0)) / 2 = (1, 0); the second
    (1, 0) + (B_2 - A_2 W) / 1 = (1, 0) + (2, 3) - (2, 0) = (1, 3), shortened.
    """
    squares = jnp.array([[2.0, 1.0], [1.0, 1.0]])
    products = jnp.array([[3.0, 0.0], [2.0, 3.0]])
    found = online.descend(jnp.array([[0.0, 0.0], [1.0, 0.0]]), squares, products)
    np.testing.assert_allclose(found, [[1, 0], np.array([1, 3]) / 10**0.5], atol=1e-6)


def test_it_finds_a_planted_dictionary(planted, best_fit):
    method = OnlineDictionary(16, penalty=0.1, steps=400, batch_size=128)
    params = best_fit(method, random.key(2), planted.x)
    assert geometry.mcc_dec(geometry.cosines(params.W_dec, planted.atoms)) > 0.98


@pytest.mark.slow
def test_every_method_can_be_scored(planted):
    """Codes have one row a sample, and decode maps them back: the contract of a score."""
    from toymodels import classical

    x = jnp.abs(planted.x[:64])
    for name in ("PCA", "ICA", "NMF", "KMeans", "MOD", "KSVD", "OnlineDictionary"):
        method = getattr(classical, name)(7)
        params = jax.jit(method.fit)(random.key(3), x)
        z = method.encode(params, x)
        assert z.shape == (64, 7)
        assert method.decode(params, z).shape == (64, 12)
        assert params.W_dec.shape == (7, 12)
