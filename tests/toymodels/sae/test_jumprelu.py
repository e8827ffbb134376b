"""JumpReLU: its pseudo-gradients against their definition, its penalties, what it finds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from synthetic import SparseFeatures, directions, firing, random
from toymodels import testing
from toymodels.sae.base import Params
from toymodels.sae.jumprelu import (
    JumpReLU,
    JumpReLUParams,
    Quadratic,
    Step,
    Tanh,
    heaviside,
    jump,
    typical_magnitude,
)
from toymodels.training import loop

PENALTIES = [Step(), Tanh(), Quadratic(3.0, spread=0.5)]


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_conformance(penalty):
    testing.check(JumpReLU(12, penalty=penalty, to_input=0.5), random.key(0))


def test_recovers_an_easy_world(easy_world):
    testing.check_recovers(JumpReLU(8), easy_world, random.key(1))


@pytest.fixture
def by_hand():
    """Two dimensions, three latents; the second latent points at (-1, 0)."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    affine = Params(W_dec.T, jnp.array([0.0, 0.5, -1.0]), W_dec, jnp.array([1.0, 0.0]))
    return JumpReLUParams(*affine, jnp.array([1.0, 0.0, 2.0]))


def test_by_hand(by_hand):
    """x - b_dec = (2, 3): pre-activations 2, -1.5, 2 against thresholds 1, 0, 2."""
    x = jnp.array([[3.0, 3.0]])
    dictionary = JumpReLU(3, sparsity=0.5, scale=2.0)
    z = dictionary.encode(by_hand, x)
    np.testing.assert_array_equal(z, [[2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(dictionary.decode(by_hand, z), [[3.0, 0.0]])
    memory = dictionary.memory(by_hand)
    value, outcome = dictionary.loss(by_hand, x, memory, jnp.int32(0))
    # The error is 3^2, one latent is on, and it costs 0.5 * 2^2.
    assert value == 9.0 + 2.0
    assert outcome.metrics == {"squared_error": 9.0, "l0": 1.0, "dead": 0.0}
    np.testing.assert_array_equal(outcome.memory, [0, 1, 1])


def test_the_weight_of_the_penalty_warms_up(by_hand):
    x = jnp.array([[3.0, 3.0]])
    dictionary = JumpReLU(3, sparsity=0.5, scale=2.0, warmup_steps=10)
    memory = dictionary.memory(by_hand)
    values = [dictionary.loss(by_hand, x, memory, jnp.int32(t))[0] for t in (0, 5, 10, 99)]
    np.testing.assert_allclose(values, [9.0, 10.0, 11.0, 11.0], rtol=1e-6)


@pytest.mark.parametrize("to_input", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("bandwidth", [0.1, 1.0, 3.0])
def test_pseudo_gradients_by_their_definition(to_input, bandwidth):
    """d z / d theta = -(theta / eps) K, d on / d theta = -(1 / eps) K, in NumPy."""
    rng = np.random.default_rng(0)
    z_pre, weight = rng.normal(1, 1, (2, 1_500, 5)).astype(np.float32)
    threshold = np.array([0.0, 0.01, 0.5, 1.0, 2.5], np.float32)
    kernel = np.abs((z_pre - threshold) / bandwidth) < 0.5
    below = kernel & (z_pre < threshold)
    assert below.any(0).all()  # the half of the window that a kernel on z would miss
    assert (kernel & ~below).any(0).all()

    def gradients(function):
        def total(z_pre, threshold):
            return jnp.sum(weight * function(z_pre, threshold, bandwidth, to_input))

        return jax.jit(jax.grad(total, (0, 1)))(jnp.asarray(z_pre), jnp.asarray(threshold))

    slope = weight * kernel / bandwidth
    to_z, to_threshold = gradients(heaviside)
    # Float32 sums of up to 1,500 terms.
    np.testing.assert_allclose(to_threshold, -slope.sum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(to_z, to_input * slope, rtol=1e-6)
    slope = threshold * slope
    to_z, to_threshold = gradients(jump)
    np.testing.assert_allclose(to_threshold, -slope.sum(0), rtol=1e-4, atol=1e-4)
    passed = weight * (z_pre > threshold)
    np.testing.assert_allclose(to_z, passed + to_input * slope, rtol=1e-6, atol=1e-7)


def test_values_are_those_of_the_step():
    z_pre = jnp.array([[-1.0, 0.5, 0.500001, 2.0]])
    threshold = jnp.full(4, 0.5)
    np.testing.assert_array_equal(
        jump(z_pre, threshold, 1.0, 1.0), [[0, 0, np.float32(0.500001), 2]]
    )
    np.testing.assert_array_equal(heaviside(z_pre, threshold, 1.0, 1.0), [[0, 0, 1, 1]])


def test_gradient_of_mean_l0_is_its_smoothed_finite_difference():
    """-(1 / eps) E K is the central difference of E[L0] over a bandwidth, sample by sample;
    with a narrow kernel it is minus the density at the threshold.
    """
    z_pre = jax.random.normal(random.key(2), (400_000, 1))
    theta, eps = jnp.array([0.7]), 0.2

    def mean_l0(theta):
        return jnp.mean(heaviside(z_pre, theta, eps, 0.0))

    def share_above(level):
        return np.mean(np.asarray(z_pre, np.float64) > level)

    found = float(jax.jit(jax.grad(mean_l0))(theta)[0])
    difference = (share_above(0.7 + eps / 2) - share_above(0.7 - eps / 2)) / eps
    # The same 400,000 samples; float32 edges of the window move a few of them.
    assert found == pytest.approx(difference, rel=1e-3)
    density = np.exp(-(0.7**2) / 2) / np.sqrt(2 * np.pi)
    # The share in the window is known to sqrt(0.06 / 4e5) = 4e-4, the slope to 2e-3; the
    # curvature of the density adds density * (0.7^2 - 1) * eps^2 / 24 = -3e-4.
    assert found == pytest.approx(-density, abs=0.008)


def test_gradient_of_mean_code_is_its_smoothed_finite_difference():
    """d E[z] / d theta = -theta density(theta), averaged over the window."""
    z_pre = jax.random.normal(random.key(3), (400_000, 1))

    def mean_code(theta):
        return jnp.mean(jump(z_pre, theta, 0.2, 0.0))

    found = float(jax.jit(jax.grad(mean_code))(jnp.array([0.7]))[0])
    values = np.asarray(z_pre, np.float64)
    above = [np.mean(values * (values > level)) for level in (0.8, 0.6)]
    difference = (above[0] - above[1]) / 0.2
    # Inside the window z differs from theta by less than 0.1 of 0.7, and evenly so: its
    # mean is theta - theta eps^2 / 12 = 0.9967 theta there.
    assert found == pytest.approx(difference, rel=0.01)


def test_gradients_of_the_weights_against_finite_differences():
    """With no pseudo-gradient to the input, weights have their true gradients."""
    dictionary = JumpReLU(6, sparsity=0.3, to_input=0.0, scale=0.4)
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )
        memory = dictionary.memory(params)

        def loss(affine):
            moved = JumpReLUParams(*affine, params.threshold)
            return dictionary.loss(moved, x, memory, jnp.int32(0))[0]

        check_grads(
            jax.jit(loss), (params[:4],), order=1, modes="rev", atol=1e-6, rtol=1e-6
        )


def test_penalties_in_numpy():
    rng = np.random.default_rng(1)
    z = np.maximum(rng.normal(size=(50, 7)), 0).astype(np.float32)
    on = (z > 0).astype(np.float32)
    l0 = on.sum(1)
    found = [
        Step()(z, on),
        Tanh(3.0)(z, on),
        Quadratic(2.5)(z, on),
        Quadratic(2.5, spread=1.0)(z, on),
    ]
    expected = [
        l0.mean(),
        np.tanh(3 * z).sum(1).mean(),
        (l0.mean() / 2.5 - 1) ** 2,
        ((l0 / 2.5 - 1) ** 2).mean(),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_quadratic_pulls_thresholds_from_both_sides(by_hand):
    """Too many latents on raise thresholds, too few lower them."""
    x = jax.random.normal(random.key(4), (256, 2))

    def gradient(target):
        dictionary = JumpReLU(3, sparsity=1e3, penalty=Quadratic(target), bandwidth=4.0)

        def loss(params):
            memory = dictionary.memory(params)
            return dictionary.loss(params, x, memory, jnp.int32(0))[0]

        return np.asarray(jax.jit(jax.grad(loss))(by_hand).threshold)

    assert (gradient(0.1) < 0).all()
    assert (gradient(3.0) > 0).all()


def moved(state, grads, optimizer, dictionary, x):
    updates, opt = optimizer.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    return dictionary.after(random.key(5), state.replace(params=params, opt=opt), x)


@pytest.mark.parametrize("start", [0.01, 1.0])
def test_adam_moves_small_and_large_thresholds_alike(start):
    """A step of Adam has the size of the learning rate. In a logarithm a threshold of 0.01
    would move by 1e-5, in bfloat16 one of 1 not at all.
    """
    dictionary = JumpReLU(4, scale=1.0, start=start, bandwidth=2.5)
    optimizer = optax.adam(1e-3)
    params = dictionary.init(random.key(6), 3)
    assert params.threshold.dtype == jnp.float32
    state = loop.start(params, optimizer, dictionary.memory(params))
    x = jax.random.normal(random.key(7), (512, 3))

    def loss(params):
        return dictionary.loss(params, x, state.memory, state.step)[0]

    after = moved(
        state, jax.jit(jax.grad(loss))(params), optimizer, dictionary, x
    ).params.threshold
    # float32 rounding of 1 - 1e-3, and Adam's own of its bias correction.
    np.testing.assert_allclose(np.abs(after - start), 1e-3, rtol=2e-3)


def test_thresholds_below_zero_become_zero_and_rows_unit():
    dictionary = JumpReLU(4)
    params = dictionary.init(random.key(8), 3)
    params = params._replace(
        threshold=jnp.array([-0.5, 0.0, 0.25, 2.0]), W_dec=3 * params.W_dec
    )
    state = loop.start(params, optax.adam(1e-3), dictionary.memory(params))
    after = dictionary.after(random.key(9), state, jnp.ones((2, 3))).params
    np.testing.assert_array_equal(after.threshold, [0, 0, 0.25, 2])
    np.testing.assert_allclose(jnp.linalg.norm(after.W_dec, axis=1), 1, rtol=3e-7)


def test_scale_carries_the_loss_to_other_units():
    """x in other units, thresholds and biases with it: the loss is in squared units, and
    gradients are the same in units.
    """
    s = 8.0  # a power of two: exact
    x = jax.random.normal(random.key(10), (64, 5))
    one = JumpReLU(9, scale=1.0, penalty=Tanh(), to_input=1.0)
    other = one.replace(scale=s)
    params = one.init(random.key(11), 5)
    params = params._replace(b_enc=0.1 * jnp.ones(9), b_dec=0.2 * jnp.ones(5))
    units = JumpReLUParams(1.0, s, 1.0, s, s)
    scaled = jax.tree.map(lambda leaf, unit: leaf * unit, params, units)
    np.testing.assert_array_equal(scaled.threshold, other.init(random.key(12), 5).threshold)

    def loss(dictionary, params, x):
        quiet = dictionary.memory(params).at[3].set(10**6)  # a dead one has units too
        return dictionary.loss(params, x, quiet, jnp.int32(0))[0]

    value, grads = jax.jit(jax.value_and_grad(loss, 1))(one, params, x)
    value_s, grads_s = jax.jit(jax.value_and_grad(loss, 1))(other, scaled, s * x)
    np.testing.assert_allclose(value_s, s**2 * value, rtol=1e-6)
    for found, leaf, unit in zip(grads_s, grads, units, strict=True):
        np.testing.assert_allclose(found * unit, s**2 * leaf, rtol=1e-5, atol=1e-5)


def test_typical_magnitude_of_orthogonal_features():
    """Three of eight orthogonal features on in each sample, each of magnitude 0.7."""
    rows = directions.orthogonal(random.key(13), 8, 8)
    chosen = np.stack([np.roll([1, 1, 1, 0, 0, 0, 0, 0], i) for i in range(8)])
    x = 0.7 * chosen @ np.asarray(rows)
    # Without the mean 3/8 each feature has the variance 3/8 * 5/8 * 0.7^2.
    expected = 0.7 * np.sqrt(5 / 8)
    assert float(typical_magnitude(x, 3)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("bandwidth", "falls"), [(0.5, True), (1.0, False)])
def test_a_window_that_reaches_zero_holds_the_threshold(bandwidth, falls):
    """A feature of magnitude U(0, 1) in an eighth of the samples, known exactly. At a
    threshold of 0.2 and next to no penalty codes below are worth having, so it ought to
    fall. A window of 0.5 holds the seven eighths at 0, which keep it up.
    """
    u = np.arange(8_000) / 1_000
    x = jnp.asarray(np.where(u < 1, u, 0), jnp.float32)[:, None]
    dictionary = JumpReLU(1, sparsity=0.01, scale=0.5, bandwidth=bandwidth, aux=0.0)
    one, zero = jnp.ones((1, 1)), jnp.zeros(1)
    params = JumpReLUParams(one, zero, one, zero, jnp.array([0.2]))

    def loss(params):
        return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))[0]

    # (0.2 / eps) 2 int z dz / 8 over codes in the window below 0.2, minus the penalty's
    # 0.0025 / eps times the share of samples in the window.
    eps = bandwidth / 2
    low, high = max(0.2 - eps / 2, 0), 0.2 + eps / 2
    share = (high - low + 7 * (eps > 0.4)) / 8
    expected = 0.2 / eps * (0.2**2 - low**2) / 8 - 0.0025 / eps * share
    found = float(jax.jit(jax.grad(loss))(params).threshold[0])
    assert found == pytest.approx(expected, rel=0.02)  # sums over steps of 0.001
    assert (found > 0) == falls


def test_dead_latents_out_of_reach_come_nearer():
    """relu(9 - z_pre) of the dead one: its threshold falls, its pre-activation rises."""
    dictionary = JumpReLU(3, scale=2.0, aux=0.0, pre_act=0.25, dead_after=10)
    params = dictionary.init(random.key(16), 3)._replace(threshold=jnp.full(3, 9.0))
    x = jnp.ones((5, 3))
    memory = jnp.array([11, 10, 0])

    def loss(params):
        return dictionary.loss(params, x, memory, jnp.int32(0))[0]

    value, grads = jax.jit(jax.value_and_grad(loss))(params)
    z_pre = np.asarray(params.W_enc).sum(0)
    # Nothing is on: the error is |x|^2; half of what is missing is added.
    assert float(value) == pytest.approx(3 + 0.5 * (9 - z_pre[0]), rel=1e-6)
    np.testing.assert_allclose(grads.threshold, [0.5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(grads.b_enc, [-0.5, 0, 0], rtol=1e-6)


@pytest.fixture(scope="module")
def superposed():
    """64 random features in 32 dimensions, two of them present on average."""
    rows = directions.random(random.key(14), 64, 32)
    return SparseFeatures(rows, firing.Independent(firing.constant(64, 1 / 32)))


def test_recovers_a_superposed_world(superposed):
    testing.check_recovers(JumpReLU(64), superposed, random.key(15), n_steps=4_000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JumpReLU(0), "n_latents is 0, expected"),
        (lambda: JumpReLU(4, sparsity=-1.0), "sparsity is -1, expected"),
        (lambda: JumpReLU(4, bandwidth=0.0), "bandwidth is 0, .* would not learn"),
        (lambda: JumpReLU(4, scale=0.0), "scale is 0, expected"),
        (lambda: JumpReLU(4, start=-0.1), "start is -0.1, .* codes would be negative"),
        (lambda: Quadratic(0.0), "target is 0, expected"),
        (lambda: typical_magnitude(jnp.ones((2, 2)), 0.0), "l0 is 0, expected"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
