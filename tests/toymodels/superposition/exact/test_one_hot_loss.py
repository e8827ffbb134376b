"""k-gons on one-hot inputs against published critical points, to their last digit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, firing, random
from toymodels.superposition import Bottleneck, Params
from toymodels.superposition.exact import one_hot_loss

# k, c: length, bias, loss with every dropped feature silent. From Chen et al. 2023 and
# independent solutions; at k = 8 the paper's table, not its formula.
KGONS = {
    (4, 6): (1.0, 0.0, 0.111111),
    (5, 6): (1.170460, -0.282297, 0.068744),
    (6, 6): (1.320526, -0.618135, 0.048192),
    (7, 7): (1.448394, -0.966906, 0.083271),
    (8, 8): (1.550450, -1.291193, 0.115546),
}


@pytest.mark.parametrize(("k", "c"), KGONS)
def test_critical_points(k, c):
    found = one_hot_loss.kgon(k, c)
    length, bias, loss = KGONS[k, c]
    assert found.gradient < 1e-7
    assert (found.length, found.bias) == pytest.approx((length, bias), abs=1e-5)
    assert found.loss == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("k", "answered"), [(4, 1), (4, 2), (5, 1)])
def test_an_answered_feature_is_worth_a_quarter_of_c_squared(k, answered):
    gap = one_hot_loss.kgon(k, 6).loss - one_hot_loss.kgon(k, 6, answered).loss
    assert gap == pytest.approx(answered / (4 * 6**2), abs=1e-12)


def test_loss_against_sampling():
    generator = np.random.default_rng(0)
    W = jnp.asarray(generator.normal(size=(6, 2)), jnp.float32)
    b = jnp.asarray(0.3 * generator.normal(size=6), jnp.float32)
    world = SparseFeatures.of_features(firing.ExactlyK(6, 1))
    batch = world.sample(random.key(0), 100_000)
    sampled, _ = Bottleneck(6, 2).loss(Params(W, b), batch.features, (), jnp.int32(0))
    # 100,000 samples of a loss whose deviation is about its mean: 0.3 %; five.
    expected = one_hot_loss.one_hot_loss(W, b)
    assert 6 * float(sampled) == pytest.approx(float(expected), rel=0.016)


def test_importance_weighs_outputs():
    W, b = jnp.zeros((2, 2)), jnp.array([0.5, -1.0])
    # Output 1 says 1/2: error 1/12 on its own input, 1/4 on the other; output 2 says 0.
    expected = (3 * (1 / 12 + 1 / 4) + 5 * (1 / 3)) / 2
    found = one_hot_loss.one_hot_loss(W, b, jnp.array([3.0, 5.0]))
    assert float(jax.device_get(found)) == pytest.approx(expected, rel=1e-6)


def test_a_polygon_of_more_vertices_than_features_is_refused():
    with pytest.raises(ValueError, match=r"k is 7, expected a number in \[4, 6\]"):
        one_hot_loss.kgon(7, 6)
