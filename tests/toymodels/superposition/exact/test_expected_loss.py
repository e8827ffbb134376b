"""The exact expected loss against sampling, closed forms and published optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, firing, random
from toymodels.superposition import Bottleneck, Params
from toymodels.superposition.exact import expected_loss
from toymodels.training import newton

# Losses of the n = 2, m = 1 model at equal importance, summed over the features, minimised
# on Gauss-Legendre grids by others; to their last digit and the kinks on their grids.
PUBLISHED = {0.05: 0.000832, 0.1: 0.00332, 0.3: 0.029307, 0.5: 0.076279, 0.7: 0.108106}


def test_optima_of_two_features_against_published_values():
    density = np.array(list(PUBLISHED))[:, None, None]
    W = np.broadcast_to([[[1.0], [-1.0]], [[1.0], [-0.5]]], (len(PUBLISHED), 2, 2, 1))
    found = expected_loss.minima(Params(W, np.zeros(W.shape[:3])), density, 1.0)
    # Newton's method has converged: float64 leaves this much.
    assert found.gradient.max() < 1e-8
    np.testing.assert_allclose(2 * found.loss.min(1), list(PUBLISHED.values()), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("density", "per_feature"), [(0.05, 0.001781), (0.2, 0.01592)])
def test_pentagon_against_published_values(density, per_feature):
    found = expected_loss.optimum(5, 2, density, np.ones(5), starts=32)
    assert found == pytest.approx(per_feature, rel=1e-3)


def test_closed_forms():
    """One feature; a dropped one; an antipodal pair with W = (1, -1) and no bias."""
    p, r = 0.3, 0.4
    W = np.array([[[1.0], [0.0]], [[1.0], [-1.0]]])
    b = np.array([[0.0, p / 2], [0.0, 0.0]])
    found = 2 * expected_loss.losses(Params(W, b), p, np.array([1.0, r]))
    expected = [r * (p / 3 - p**2 / 4), (1 + r) * p**2 / 6]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    alone = expected_loss.losses(Params(np.array([[0.5**0.5]]), np.zeros(1)), p, 1.0)
    assert alone == pytest.approx(p / 12, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
def test_value_and_gradient_against_sampling(n):
    generator = np.random.default_rng(0)
    W, b = generator.normal(size=(n, 2)), generator.normal(size=n) * 0.1
    importance, density = np.array([1.0, 0.5, 2.0])[:n], np.array([0.3, 0.6, 0.1])[:n]
    with jax.enable_x64(True):
        exact, slope = jax.jit(
            jax.value_and_grad(
                lambda p: expected_loss.expected_loss(*p, jnp.asarray(density), importance)
            )
        )(Params(jnp.asarray(W), jnp.asarray(b)))
    law = firing.Independent(jnp.asarray(density, jnp.float32))
    batch = SparseFeatures.of_features(law).sample(random.key(0), 400_000)
    model = Bottleneck(n, 2, importance=jnp.asarray(importance, jnp.float32))
    params = Params(jnp.asarray(W, jnp.float32), jnp.asarray(b, jnp.float32))
    sampled, gradient = jax.jit(
        jax.value_and_grad(lambda p: model.loss(p, batch.features, (), jnp.int32(0))[0])
    )(params)
    # 400,000 samples of a loss whose deviation is about twice its mean: 0.3 %; five.
    assert float(sampled) == pytest.approx(float(exact), rel=0.016)
    for near, true in zip(gradient, slope, strict=True):
        np.testing.assert_allclose(near, true, atol=0.02 * np.abs(true).max())


@pytest.mark.parametrize("n", [3, 4])
def test_more_points_change_nothing(n, monkeypatch):
    generator = np.random.default_rng(1)
    params = Params(generator.normal(size=(n, 2)), 0.2 * generator.normal(size=n))
    few = expected_loss.losses(params, 0.4, 1.0)
    monkeypatch.setattr(expected_loss, "_POINTS_PER_PATTERN", 400)
    monkeypatch.setattr(expected_loss, "_MOST_POINTS_PER_VALUE", 40)
    # What the module promises for three and more features.
    np.testing.assert_allclose(few, expected_loss.losses(params, 0.4, 1.0), rtol=1e-6)


def test_the_order_of_features_does_not_matter():
    generator = np.random.default_rng(2)
    W, b = generator.normal(size=(3, 2)), 0.1 * generator.normal(size=3)
    p, importance = np.array([0.1, 0.5, 0.9]), np.array([1.0, 2.0, 0.3])
    turn = np.array([2, 0, 1])
    W, b, p, importance = (np.stack([x, x[turn]]) for x in (W, b, p, importance))
    one, other = expected_loss.losses(Params(W, b), p, importance)
    assert one == pytest.approx(other, rel=1e-10)


def test_a_density_in_percent_is_refused():
    with pytest.raises(ValueError, match="density holds 5, expected probabilities"):
        expected_loss.losses(Params(np.ones((2, 1)), np.zeros(2)), 5.0, 1.0)


def test_newton_ends_in_the_basin_it_started_in():
    """(x^2 - 1)^2 + y^2 has its minima at x = -1 and 1."""

    def loss(point):
        return (point[0] ** 2 - 1) ** 2 + point[1] ** 2

    start = jnp.array([[0.1, 3.0], [-0.1, -3.0]])
    found = jax.vmap(lambda s: newton.minimise(loss, s, tolerance=1e-5))(start)
    # float32 near a minimum with curvature 8.
    np.testing.assert_allclose(found.params, [[1, 0], [-1, 0]], atol=1e-4)
    assert int(found.n_steps.max()) < 40
