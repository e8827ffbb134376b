import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from synthetic import SparseFeatures, firing, magnitude, random
from toymodels import superposition

STEP = jnp.int32(0)
IMPORTANCE = 0.8 ** np.arange(4)


def features(key, n_features=4, batch_size=64):
    law = firing.Independent(firing.constant(n_features, 0.4))
    world = SparseFeatures.of_features(law, magnitude.Uniform(-1, 1))
    return world.sample(key, batch_size).features


def loss(model, params, x):
    return model.loss(params, x, (), STEP)[0]


def some_params(model, key):
    """Initial weights with biases that are not zero."""
    params = model.init(key)
    return params._replace(b=0.1 * jnp.arange(1.0, model.n_features + 1))


MODELS = [
    superposition.HiddenReLU(4, 3, IMPORTANCE),
    superposition.AbsoluteValue(4, 3, IMPORTANCE),
]
named = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


def test_hidden_relu_by_hand():
    model = superposition.HiddenReLU(2, 1, importance=np.array([1.0, 0.5]))
    params = superposition.Params(jnp.array([[2.0], [-1.0]]), jnp.array([0.5, 0.25]))
    x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    # First sample: h = 2, out = (4.5, 0). Second: h = relu(-1) = 0, out = (0.5, 0.25).
    first = 3.5**2 + 0.5 * 0
    second = 0.5**2 + 0.5 * 0.75**2
    assert_allclose(loss(model, params, x), (first + second) / 4, rtol=1e-6)


def test_absolute_value_by_hand():
    model = superposition.AbsoluteValue(2, 1, importance=np.array([1.0, 0.5]))
    params = superposition.UntiedParams(
        jnp.array([[1.0], [2.0]]), jnp.array([[0.5, -1.0]]), jnp.array([0.0, 0.25])
    )
    x = jnp.array([[-1.0, 1.0]])
    # h = relu(-1 + 2) = 1, out = (0.5, 0), targets are (1, 1).
    assert_allclose(loss(model, params, x), (0.5**2 + 0.5 * 1) / 2, rtol=1e-6)


@named
def test_loss_is_that_of_hidden_and_readout(model):
    params = some_params(model, random.key(1))
    x = features(random.key(2))
    out = model.readout(params, model.hidden(params, x))
    target = x if isinstance(model, superposition.HiddenReLU) else jnp.abs(x)
    expected = jnp.mean(IMPORTANCE * jnp.square(target - out))
    assert_allclose(loss(model, params, x), expected, rtol=1e-5)


@named
def test_gradient_is_that_of_finite_differences(model):
    params = some_params(model, random.key(3))
    x = features(random.key(4))
    direction = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size)).reshape(p.shape), params)

    def along(t):
        return loss(model, jax.tree.map(lambda p, d: p + t * d, params, direction), x)

    slope = (along(1e-3) - along(-1e-3)) / 2e-3
    # The step crosses the kinks of a few samples.
    assert_allclose(jax.jit(jax.grad(along))(0.0), slope, rtol=1e-2)


def test_two_neurons_per_feature_compute_the_absolute_value():
    model = superposition.AbsoluteValue(3, 6)
    sign = jnp.concatenate([jnp.eye(3), -jnp.eye(3)], axis=1)
    params = superposition.UntiedParams(3 * sign, jnp.abs(sign).T / 3, jnp.zeros(3))
    assert loss(model, params, features(random.key(5), 3)) < 1e-12


def test_baseline_is_the_loss_of_its_network():
    density, importance = 0.3, np.array([1.0, 0.7, 0.5])
    model = superposition.AbsoluteValue(3, 2, importance)
    W_in = jnp.array([[1.0, -1.0], [0, 0], [0, 0]])
    params = superposition.UntiedParams(
        W_in, jnp.abs(W_in).T, jnp.array([0, density / 2, density / 2])
    )
    world = SparseFeatures.of_features(
        firing.Independent(firing.constant(3, density)), magnitude.Uniform(-1, 1)
    )
    sampled = loss(model, params, world.sample(random.key(6), 1 << 17).features)
    expected = superposition.absolute_value_baseline(density, importance, 2)
    # The error's deviation is of the order of its mean: 1/sqrt(131,072) twice is 0.6 %.
    assert_allclose(sampled, expected, rtol=0.015)
    # Twenty of a hundred features are exact: (p/3 - p^2/4) sum_{i >= 20} 0.8^i / 100.
    tail = 0.8**20 * (1 - 0.8**80) / 0.2 / 100
    hundred = superposition.absolute_value_baseline(0.01, 0.8 ** np.arange(100), 40)
    assert_allclose(hundred, (0.01 / 3 - 0.01**2 / 4) * tail, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.02, 0.3])
def test_initial_scale_is_the_deviation(scale):
    model = superposition.AbsoluteValue(60, 50, init_scale=scale)
    params = model.init(random.key(7))
    for W in (params.W_in, params.W_out):
        assert_allclose(jnp.std(W), scale, rtol=0.06)
    assert not np.allclose(params.W_in, params.W_out.T)


def test_initial_scale_is_swept_and_defaults_to_xavier():
    def spread(scale):
        return jnp.std(superposition.HiddenReLU(60, 40, 1.0, scale).init(random.key(8)).W)

    assert_allclose(jax.vmap(spread)(jnp.array([0.1, 0.2]))[1], 0.2, rtol=0.06)
    W = superposition.HiddenReLU(60, 40).init(random.key(8)).W
    assert_allclose(jnp.std(W), 0.02**0.5, rtol=0.06)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="n_hidden is 0"):
        superposition.HiddenReLU(3, 0)
    with pytest.raises(ValueError, match="init_scale is -1"):
        superposition.AbsoluteValue(3, 2, init_scale=-1.0)


def test_polysemanticity_of_a_planted_code():
    # Neuron 0 holds one feature, 1 and 2 hold three, 3 holds none.
    W = jnp.array(
        [
            [1.0, 0, 0.01, 0],
            [0, 1.0, 1.0, 0],
            [0, 1.0, -1.0, 0],
            [0.05, -1.0, 1.0, 0],
        ]
    )
    assert superposition.features_per_neuron(W).tolist() == [1, 3, 3, 0]
    assert superposition.monosemantic(W).tolist() == [True, False, False, False]
    assert superposition.neurons_per_feature(W).tolist() == [1, 2, 2, 2]
    assert_allclose(
        superposition.largest_share(W), [1 / 1.05, 1 / 3, 1 / 3.01, 0], rtol=1e-6
    )


def test_polysemanticity_ignores_signs_scale_and_order_and_takes_stacks():
    W = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6, 4)) ** 3)
    counts = superposition.features_per_neuron(W)
    assert counts.shape == (5, 4)
    assert (counts == superposition.features_per_neuron(-3 * W[:, ::-1])).all()
    assert (counts[2] == superposition.features_per_neuron(W[2])).all()
    assert superposition.neurons_per_feature(W).shape == (5, 6)
