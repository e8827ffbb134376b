"""The L0 controller against a plain loop, and what it reaches."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import FrozenDecoder, ReLU, TopK, training
from toymodels.sae.around import controller
from toymodels.sae.around.controller import Controlled
from toymodels.sae.jumprelu import JumpReLU


@pytest.mark.parametrize("inner", [ReLU(12), JumpReLU(12)], ids=["ReLU", "JumpReLU"])
def test_conformance(inner):
    testing.check(Controlled(inner, target_l0=2.0), random.key(0))


def plain_loop(l0s, target, gain, damping):
    """The published rule, one number at a time."""
    smooth, rate, multiplier, path = None, 0.0, 1.0, []
    for l0 in l0s:
        if smooth is None:
            smooth = l0
        else:
            before = smooth
            smooth = 0.99 * smooth + 0.01 * l0
            rate = 0.95 * rate + 0.05 * (smooth - before)
        error = smooth - target
        g = damping if error * rate < 0 else 1.0
        by = gain * g * math.tanh(10 * abs(error) / target)
        multiplier *= 1 + by if error > 0 else 1 - by
        multiplier = min(max(multiplier, 0.01), 100.0)
        path.append((smooth, rate, multiplier))
    return np.array(path)


@pytest.mark.parametrize(("gain", "damping"), [(3e-4, 0.01), (0.02, 0.1)])
def test_update_equals_a_plain_loop(gain, damping):
    """L0 falls from 30 through the target of 12 and comes back: both signs, both g."""
    rng = np.random.default_rng(0)
    l0s = 12 + 18 * np.cos(np.arange(2_000) / 300) + rng.normal(size=2_000)

    def step(control, l0):
        control = controller.update(control, l0, 12.0, gain, damping)
        return control, jnp.stack(control[:3])

    _, path = jax.lax.scan(step, controller.start(), jnp.asarray(l0s, jnp.float32))
    expected = plain_loop(l0s, 12.0, gain, damping)
    # Two thousand float32 products; rates are differences of numbers near 20.
    np.testing.assert_allclose(path[:, 0], expected[:, 0], rtol=1e-4)
    np.testing.assert_allclose(path[:, 1], expected[:, 1], atol=1e-4)
    np.testing.assert_allclose(path[:, 2], expected[:, 2], rtol=5e-3)
    slow = np.abs(np.diff(np.log(expected[:, 2])))
    assert (slow < 1.1 * damping * gain).any()
    assert (slow > 0.9 * gain).any()


def test_the_multiplier_stays_within_its_bounds():
    for l0, bound in ((50.0, 100.0), (0.1, 0.01)):
        control = controller.start()
        for _ in range(40):
            control = controller.update(control, jnp.float32(l0), 5.0, 0.5, 1.0)
        assert float(control.multiplier) == pytest.approx(bound)


def test_the_first_batch_sets_the_mean():
    """Started from 0 the running L0 would look too low for the first hundreds of steps."""
    control = controller.update(controller.start(), jnp.float32(30.0), 10.0, 0.1, 0.1)
    assert float(control.l0) == 30.0
    assert float(control.rate) == 0.0
    assert float(control.multiplier) == pytest.approx(1.1, rel=1e-6)


def test_the_loss_is_that_of_the_variant_at_the_steered_weight():
    x = jax.random.normal(random.key(1), (16, 5))
    inner = ReLU(9, sparsity=0.2)
    for dictionary in (inner, FrozenDecoder(inner)):
        controlled = Controlled(dictionary, target_l0=2.0)
        params = controlled.init(random.key(2), 5)
        quiet, control = controlled.memory(params)
        memory = (quiet, control._replace(multiplier=jnp.float32(3.0)))
        value, outcome = controlled.loss(params, x, memory, jnp.int32(0))
        expected, _ = inner.replace(sparsity=0.6).loss(params, x, quiet, jnp.int32(0))
        assert float(value) == pytest.approx(float(expected), rel=1e-6)
        assert float(outcome.metrics["multiplier"]) > 3.0  # about half of 9 are on


@pytest.mark.parametrize("sparsity", [1.0, 0.01], ids=["too large", "too small"])
@pytest.mark.parametrize("variant", [pytest.param(ReLU, marks=pytest.mark.slow), JumpReLU])
def test_ends_within_a_tenth_of_the_target(variant, sparsity, easy_world):
    """Fresh samples have the wanted L0, and the multiplier has come a long way."""
    dictionary = Controlled(variant(8, sparsity=sparsity), 0.8)
    fitted = training.fit(random.key(3), dictionary, easy_world, 2_500, batch_size=256)
    params, history = fitted.params, fitted.history
    x = easy_world.sample(random.key(4), 8_192).x
    l0 = float((dictionary.encode(params, x) != 0).sum(-1).mean())
    assert l0 == pytest.approx(0.8, rel=0.1)
    multiplier = history.metrics["multiplier"][-1]
    assert multiplier < 0.5 if sparsity == 1.0 else multiplier > 2.0


def test_refuses_what_has_no_penalty():
    with pytest.raises(ValueError, match="inner is TopK, which has no leaf `sparsity`"):
        Controlled(FrozenDecoder(TopK(9, k=2)), 3.0)
    with pytest.raises(ValueError, match="target_l0 is 0, expected"):
        Controlled(ReLU(9), 0.0)
