"""The power's schedule and its reweighting against a plain loop, and what it finds."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import ReLU
from toymodels.sae.around.controller import Controlled
from toymodels.sae.around.p_annealing import PAnnealing
from toymodels.sae.gated import Gated
from toymodels.sae.penalties import L1, Power


@pytest.mark.parametrize("inner", [ReLU(12), Gated(12)], ids=["ReLU", "Gated"])
def test_conformance(inner):
    testing.check(PAnnealing(inner), random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("inner", [ReLU(8), Gated(8)], ids=["ReLU", "Gated"])
def test_recovers_an_easy_world(inner, easy_world):
    testing.check_recovers(PAnnealing(inner), easy_world, random.key(1))


def test_power_goes_down_in_equal_steps_and_reaches_its_end():
    dictionary = PAnnealing(ReLU(9), p_end=0.2, start=100, end=200, n_updates=5)
    steps = [0, 99, 119, 120, 139, 140, 179, 180, 199, 200, 201, 10**6]
    found = [float(dictionary.power(step)) for step in steps]
    expected = [1, 1, 1, 0.84, 0.84, 0.68, 0.52, 0.36, 0.36, 0.2, 0.2, 0.2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert dictionary.power(200) == np.float32(0.2)


@pytest.mark.parametrize("inner", [ReLU(9, sparsity=0.3), Gated(9, sparsity=0.3)])
def test_weight_against_a_plain_loop(inner):
    """At each change the weight is multiplied by sum |z|^p over sum |z|^p', both over the
    last ten batches or those since the last change.
    """
    dictionary = PAnnealing(inner, p_end=0.4, start=3, end=39, n_updates=3, eps=1e-2)
    params = dictionary.init(random.key(2), 5)
    memory = dictionary.memory(params)
    loss, penalised = jax.jit(dictionary.loss), jax.jit(inner.penalised)

    @jax.jit
    def plain(x, memory, step, sparsity, p):
        fixed = inner.replace(sparsity=sparsity, penalty=Power(p, 1e-2))
        return fixed.loss(params, x, memory, step)[0]

    powers, changes = [1.0, 0.8, 0.6, 0.4], {15: 1, 27: 2, 39: 3}
    index, weight, queue = 0, 1.0, deque(maxlen=10)

    def cost(z, p):
        return ((z + 1e-2) ** p - 1e-2**p).sum(1).mean()

    for step in range(50):
        x = jax.random.normal(jax.random.fold_in(random.key(3), step), (16, 5))
        z = np.asarray(penalised(params, x), np.float64)
        if step in changes:
            old, new = np.sum(queue, axis=0)
            weight *= old / new
            index = changes[step]
            queue.clear()
        following = powers[min(index + 1, 3)]
        queue.append((cost(z, powers[index]), cost(z, following)))
        value, outcome = loss(params, x, memory, jnp.int32(step))
        expected = plain(x, memory[0], jnp.int32(step), 0.3 * weight, powers[index])
        assert float(value) == pytest.approx(float(expected), rel=1e-4), step
        assert float(outcome.metrics["p"]) == pytest.approx(powers[index], rel=1e-6)
        memory = outcome.memory
    assert float(memory[1].weight) == pytest.approx(weight, rel=1e-4)
    assert index == 3


def test_nothing_on_leaves_the_weight():
    dictionary = PAnnealing(ReLU(9), start=0, end=10, n_updates=2)
    params = dictionary.init(random.key(4), 5)._replace(b_enc=jnp.full(9, -99.0))
    memory = dictionary.memory(params)
    for step in range(12):
        value, outcome = dictionary.loss(params, jnp.ones((4, 5)), memory, jnp.int32(step))
        memory = outcome.memory
        assert np.isfinite(value)
    assert float(memory[1].weight) == 1.0


def test_power_penalty_has_finite_slopes_and_is_l1_at_one():
    z = jnp.array([[0.0, 0.5, 2.0], [0.0, 0.0, 1.0]])
    assert float(Power(1.0)(z)) == pytest.approx(float(L1()(z)), rel=1e-6)
    assert float(L1()(z)) == 1.75
    # p (z + eps)^(p - 1) / 2, at z = 0 too.
    found = jax.jit(jax.grad(Power(0.5, 0.04)))(z)
    expected = 0.25 / np.sqrt(np.asarray(z) + 0.04)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(Power(0.2)(jnp.zeros((3, 4)))) == 0.0


def test_it_can_be_steered():
    """The controller finds `sparsity` inside."""
    dictionary = Controlled(PAnnealing(ReLU(9, sparsity=0.2)), 2.0)
    params = dictionary.init(random.key(5), 5)
    inner, control = dictionary.memory(params)
    memory = (inner, control._replace(multiplier=jnp.float32(2.0)))
    x = jax.random.normal(random.key(6), (16, 5))
    value, _ = dictionary.loss(params, x, memory, jnp.int32(0))
    expected, _ = ReLU(9, sparsity=0.4).loss(params, x, inner[0], jnp.int32(0))
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p_end": 0.0}, "p is 0, expected .* every code would cost the same"),
        ({"eps": 0.0}, "eps is 0, expected .* infinite"),
        ({"start": 500, "end": 400}, "gives -10 steps to each change"),
        ({"n_updates": 0}, "n_updates is 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PAnnealing(ReLU(9), **settings)
