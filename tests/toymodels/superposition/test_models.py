"""Geometry measures on planted polytopes, the model by hand, exact losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import SparseFeatures, directions, firing, random
from toymodels import superposition
from toymodels.superposition import Bottleneck, Params
from toymodels.superposition.activations import Hidden
from toymodels.training import loop


def polygon(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


POLYTOPES = {
    "one alone": (np.eye(1, 3), 1.0),
    "orthogonal": (np.eye(3), 1.0),
    "tetrahedron": (np.asarray(directions.simplex(3)), 3 / 4),
    "triangle": (polygon(3), 2 / 3),
    "antipodal pair": (np.array([[1.0], [-1.0]]), 1 / 2),
    "pentagon": (polygon(5), 2 / 5),
    "hexagon": (polygon(6), 2 / 6),
}


@pytest.mark.parametrize(("rows", "expected"), POLYTOPES.values(), ids=POLYTOPES.keys())
@pytest.mark.parametrize("scale", [0.3, 1.13])
def test_dimensionality_of_planted_polytopes(rows, expected, scale):
    D = superposition.dimensionality(jnp.asarray(scale * rows, jnp.float32))
    # float32 sums of at most six products.
    np.testing.assert_allclose(D, expected, atol=1e-6)


def test_dimensionality_of_a_square_antiprism():
    """Eight unit vectors at heights +-1/sqrt 3 form a tight frame: 3/8 each."""
    flat = np.concatenate([polygon(8)[::2], polygon(8)[1::2]])
    rows = np.column_stack([flat * (2 / 3) ** 0.5, np.repeat([-1, 1], 4) / 3**0.5])
    D = superposition.dimensionality(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(D, 3 / 8, atol=1e-6)


def test_dimensionality_equals_capacity_and_sums_to_at_most_the_dimensions():
    """C_i = (W_i . W_i)^2 / sum_j (W_i . W_j)^2 (Scherlis et al. 2022)."""
    W = np.random.default_rng(0).normal(size=(9, 4))
    gram = W @ W.T
    capacity = np.diag(gram) ** 2 / (gram**2).sum(1)
    D = superposition.dimensionality(jnp.asarray(W, jnp.float32))
    np.testing.assert_allclose(D, capacity, rtol=1e-5)
    assert float(D.sum()) <= 4


def test_a_zero_row_has_no_dimension_and_disturbs_no_other():
    D = superposition.dimensionality(jnp.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_array_equal(D, [1.0, 0.0, 1.0])


def test_measures_do_not_change_under_rotation():
    W = jax.random.normal(random.key(0), (6, 3))
    turned = W @ directions.orthogonal(random.key(1), 3, 3)
    for measure in (
        superposition.dimensionality,
        superposition.feature_norms,
        superposition.gram,
        superposition.dimensions_per_feature,
    ):
        # A product with a float32 rotation: a few roundings.
        np.testing.assert_allclose(measure(W), measure(turned), rtol=1e-5, atol=1e-5)


def test_dimensions_per_feature():
    assert superposition.dimensions_per_feature(jnp.eye(2, 2)) == 1.0
    assert superposition.dimensions_per_feature(jnp.array([[1.0], [-1.0]])) == 0.5


@pytest.mark.parametrize("output", ["relu", "linear"])
def test_loss_by_hand(output):
    """f = (0.4, 0): h = 0.4, W h + b = (0.5, -0.6)."""
    model = Bottleneck(2, 1, output=output, importance=jnp.array([1.0, 0.5]))
    params = Params(jnp.array([[1.0], [-1.0]]), jnp.array([0.1, -0.2]))
    absent = SparseFeatures(jnp.eye(2), firing.Independent(jnp.zeros(2)))
    batch = absent.do(random.key(0), 1, 0, 0.4)
    second = 0.0 if output == "relu" else -0.6
    expected = (1.0 * (0.4 - 0.5) ** 2 + 0.5 * (0.0 - second) ** 2) / 2
    value, _ = model.loss(params, batch.features, (), jnp.int32(0))
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_initial_scale():
    W = Bottleneck(400, 100).init(random.key(0)).W
    # 40,000 normals: the standard deviation is known to 0.35 %; five of these.
    assert float(W.std()) == pytest.approx((2 / 500) ** 0.5, rel=0.018)
    W = Bottleneck(400, 100, init_scale=0.01).init(random.key(0)).W
    assert float(W.std()) == pytest.approx(0.01, rel=0.018)


def test_unknown_output_is_refused():
    with pytest.raises(ValueError, match='output is "tanh", expected "relu" or "linear"'):
        Bottleneck(5, 2, output="tanh")


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_a_linear_model_keeps_the_most_important_features(density):
    """PCA: the top two have norm 1, the rest norm 0 and bias p / 2."""
    model = Bottleneck(5, 2, output="linear", importance=0.7 ** jnp.arange(5))
    world = SparseFeatures(jnp.eye(5), firing.Independent(jnp.full(5, density)))
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, 3_000))
    run = jax.jit(
        lambda state: loop.advance(
            random.key(0),
            state,
            3_000,
            loss=model.loss,
            sample=lambda key: world.sample(key, 512).features,
            optimizer=optimizer,
        )[0]
    )
    params = run(loop.start(model.init(random.key(1)), optimizer)).params
    norms = superposition.feature_norms(params.W)
    # What stochastic steps at a vanishing rate leave.
    np.testing.assert_allclose(norms, [1, 1, 0, 0, 0], atol=0.02)
    np.testing.assert_allclose(params.b[2:], density / 2, atol=0.02)


def test_hidden_activations_are_a_world():
    W = jnp.array([[2.0, 0.0], [0.0, 0.5], [0.6, 0.8]])
    world = SparseFeatures(jnp.eye(3), firing.Independent(jnp.full(3, 0.5)))
    hidden = Hidden(world, Params(W, jnp.zeros(3)))
    assert (hidden.n_features, hidden.d_model) == (3, 2)
    key = random.key(4)
    batch, inputs = hidden.sample(key, 50), world.sample(jax.random.clone(key), 50)
    np.testing.assert_allclose(batch.x, inputs.features @ W, rtol=1e-6)
    np.testing.assert_allclose(batch.features, inputs.features * jnp.array([2, 0.5, 1]))
    # x is the sum of the features along their unit directions, to float32 rounding.
    np.testing.assert_allclose(batch.features @ hidden.directions, batch.x, atol=1e-6)


def test_a_model_of_another_world_is_refused():
    world = SparseFeatures(jnp.eye(3), firing.Independent(jnp.full(3, 0.5)))
    with pytest.raises(ValueError, match=r"rows of W is 4, expected 3; .*another world"):
        Hidden(world, Params(jnp.ones((4, 2)), jnp.zeros(4)))
