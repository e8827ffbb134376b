"""End-to-end dictionaries find what matters to the function after them, and only that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.test_util import check_grads
from jaxtyping import Array

from synthetic import SparseFeatures, directions, random
from synthetic.firing import Independent
from synthetic.magnitude import Uniform
from toymodels import testing
from toymodels.sae import ReLU, base, training
from toymodels.sae.elsewhere.end_to_end import Effects, EndToEnd, kl
from toymodels.scores import geometry


@struct.dataclass
class ReadOut:
    """Outputs x W, and a later layer x V."""

    W: Array
    V: Array

    def __call__(self, x):
        return Effects(x @ self.W, (x @ self.V,))


@pytest.fixture(scope="module")
def sparse():
    """12 orthonormal features in 12 dimensions."""
    rows = directions.orthogonal(random.key(0), 12, 12)
    return SparseFeatures(rows, Independent(jnp.full(12, 0.1)), Uniform(0.5, 1.5))


@pytest.fixture(scope="module")
def read_out(sparse):
    """The outputs are 3 times features 0 to 5; the later layer has 0 to 8."""
    return ReadOut(3 * sparse.directions[:6].T, sparse.directions[:9].T)


def small(key):
    key_W, key_V = jax.random.split(key)
    return ReadOut(jax.random.normal(key_W, (5, 3)), jax.random.normal(key_V, (5, 4)))


@pytest.mark.parametrize("distance", [kl, base.squared_error])
def test_conformance(distance):
    f = small(random.key(1))
    testing.check(EndToEnd(12, f, later=1.0, distance=distance), random.key(0))


def test_kl_by_hand_and_against_other_logits():
    """(log 3, 0) is (3/4, 1/4) and (0, 0) is (1/2, 1/2): 3/4 log 3/2 + 1/4 log 1/2."""
    found = kl(jnp.array([[np.log(3), 0.0]]), jnp.zeros((1, 2)))
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    a = jax.random.normal(random.key(2), (9, 4))
    assert float(kl(a, a + 2.0)) == pytest.approx(0, abs=1e-6)  # logits have no level


def test_loss_by_hand():
    """x = (3, 1), z = (3, 1) with unit rows e_1, (0.6, 0.8): x_hat = (3.6, 0.8)."""
    params = base.Params(
        jnp.eye(2), jnp.zeros(2), jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.zeros(2)
    )
    f = jax.tree_util.Partial(
        lambda W, x: Effects(x @ W, (2 * x, x)), jnp.array([[10.0], [0.0]])
    )
    dictionary = EndToEnd(2, f, 0.5, later=2.0, distance=base.squared_error)
    value, outcome = dictionary.loss(params, jnp.array([[3.0, 1.0]]), (), jnp.int32(0))
    error = 0.6**2 + 0.2**2
    assert float(outcome.metrics["distance"]) == pytest.approx(6.0**2, rel=1e-5)
    assert float(outcome.metrics["later"]) == pytest.approx(2.5 * error, rel=1e-5)
    assert float(outcome.metrics["squared_error"]) == pytest.approx(error, rel=1e-5)
    assert float(value) == pytest.approx(36 + 2 * 2.5 * error + 0.5 * 4, rel=1e-5)


def test_gradients_against_finite_differences():
    with jax.enable_x64(True):
        f = jax.tree.map(lambda leaf: leaf.astype(float), small(jax.random.key(3)))
        dictionary = EndToEnd(6, f, later=0.5)
        x = jax.random.normal(jax.random.key(4), (9, 5))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(5), 5)
        )

        @jax.jit
        def loss(params):
            return dictionary.loss(params, x, (), jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


def found(dictionary, world):
    """The largest cosine of a row with each feature, after training."""
    params = training.fit(random.key(6), dictionary, world, 3_000, 256).params
    return geometry.cosines(params.W_dec, world.directions).max(axis=0)


def test_it_finds_the_features_that_matter_and_no_others(sparse, read_out):
    """Rows of other features, or of a half of two, would have cosines up to 0.7."""
    dictionary = EndToEnd(16, read_out, sparsity=0.1, distance=base.squared_error)
    cosine = found(dictionary, sparse)
    assert (cosine[:6] > 0.95).all()
    assert (cosine[6:] < 0.8).all()


def test_under_kl_rows_have_no_part_along_all_logits_together(sparse, read_out):
    """Adding one number to all six logits changes no probability, so a row is best spent
    on d_i less the mean of the six: its cosine with d_i is sqrt(5 / 6).
    """
    cosine = found(EndToEnd(16, read_out, sparsity=0.03), sparse)
    # The rows that the optimum has, at the end of a run: within a degree or so.
    np.testing.assert_allclose(cosine[:6], (5 / 6) ** 0.5, atol=0.01)
    assert (cosine[6:] < 0.8).all()


@pytest.mark.slow
def test_later_layers_add_what_they_need(sparse, read_out):
    cosine = found(EndToEnd(16, read_out, sparsity=0.03, later=1.0), sparse)
    assert (cosine[:9] > 0.95).all()
    assert (cosine[9:] < 0.8).all()


@pytest.mark.slow
def test_a_local_dictionary_finds_them_all(sparse):
    assert (found(ReLU(16, sparsity=0.1), sparse) > 0.95).all()


def test_bad_settings_are_refused(read_out):
    with pytest.raises(ValueError, match="later is -1"):
        EndToEnd(4, read_out, later=-1.0)

    def f(x):
        return Effects(x)

    with pytest.raises(ValueError, match=r"downstream is the function f, .*Partial"):
        EndToEnd(4, f)
