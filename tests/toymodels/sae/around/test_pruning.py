"""Leave-one-out pruning: what the other latents explain goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, random
from toymodels import testing
from toymodels.sae import Params, Pruned, TopK
from toymodels.sae.around.pruning import leave_one_out

HALF = 2**-0.5


@pytest.fixture
def overlap():
    """Rows along e1 and at 45 degrees."""
    W_dec = jnp.array([[1.0, 0.0], [HALF, HALF]])
    return Params(W_dec.T, jnp.zeros(2), W_dec, jnp.array([0.0, 1.0]))


def test_by_hand(overlap):
    """x - b_dec = 2 e1. A latent at 45 degrees fires as well; the true one explains all.

    r = -0.2 w_1, so what is left for latent 1 is -0.2 + 0.2 = 0, and for latent 0
    2 - 0.2 / sqrt 2 = 1.86.
    """
    x, z = jnp.array([[2.0, 1.0]]), jnp.array([[2.0, 0.2]])
    np.testing.assert_array_equal(leave_one_out(overlap, x, z, 0.1), [[2.0, 0.0]])
    np.testing.assert_array_equal(leave_one_out(overlap, x, z, 1.85), [[2.0, 0.0]])
    np.testing.assert_array_equal(leave_one_out(overlap, x, z, 1.87), [[0.0, 0.0]])


def test_signed_codes_are_judged_on_the_side_of_their_sign(overlap):
    x, z = jnp.array([[-2.0, 1.0]]), jnp.array([[-2.0, -0.2]])
    np.testing.assert_array_equal(leave_one_out(overlap, x, z, 0.1), [[-2.0, 0.0]])


def test_it_is_the_projection_of_what_the_others_leave():
    """Against leaving each latent out in turn, in NumPy; rows of any length."""
    key_w, key_x = jax.random.split(random.key(0))
    W_dec = jax.random.normal(key_w, (7, 4))
    params = Params(W_dec.T, jnp.zeros(7), W_dec, jnp.full(4, 0.2))
    x = jax.random.normal(key_x, (20, 4))
    z = jnp.maximum(0.2 * x @ W_dec.T, 0)
    threshold = 0.7
    found = leave_one_out(params, x, z, threshold)
    rows = np.asarray(W_dec)
    for i in range(7):
        others = np.where(np.arange(7) == i, 0, z) @ rows + 0.2
        needed = (np.asarray(x) - others) @ rows[i]
        expected = np.where(needed > threshold, z[:, i], 0)
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-6)


def test_false_latents_go_and_true_ones_stay():
    """True codes with a weak false latent in every sample: precision rises to 1."""
    rows = directions.orthogonal(random.key(1), 8, 8)
    world = SparseFeatures(rows, firing.Independent(firing.constant(8, 0.2)))
    batch = world.sample(random.key(2), 200)
    true = np.where(np.asarray(batch.features) > 0.3, batch.features, 0)
    x = jnp.asarray(true) @ rows
    false = jax.random.randint(random.key(3), (200,), 0, 8)
    z = jnp.asarray(np.where((true == 0) & (np.arange(8) == false[:, None]), 0.2, true))
    assert int((z > 0).sum()) > int((true > 0).sum())
    params = Params(rows.T, jnp.zeros(8), rows, jnp.zeros(8))
    np.testing.assert_array_equal(leave_one_out(params, x, z, 0.1), true)


def test_conformance_of_a_pruned_dictionary():
    testing.check(Pruned(TopK(12, k=3), threshold=0.1), random.key(3))


def test_a_pruned_dictionary_prunes_when_it_encodes(overlap):
    dictionary = Pruned(TopK(2, k=2), 1.87)
    x = jnp.array([[2.0, 1.0], [0.0, 5.0]])
    z = TopK(2, k=2).encode(overlap, x)
    np.testing.assert_array_equal(
        dictionary.encode(overlap, x), leave_one_out(overlap, x, z, 1.87)
    )
    assert (dictionary.encode(overlap, x) != z).any()
