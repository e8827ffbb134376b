"""Choices, responses and checks of engineering_monosemanticity."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import engineering_monosemanticity as engineering
from experiments.engineering_monosemanticity import Settings
from synthetic import SparseFeatures, firing, random
from toymodels import fit

SMALL = Settings(
    *(4, 4, 6),
    learning_rates=(0.01, 0.1),
    steps=4,
    batch_size=8,
    bias_decay=0.5,
    n_seeds=2,
)


def test_choices_run_over_variants_rates_and_seeds():
    choice = engineering.choices_of(SMALL)
    np.testing.assert_allclose(choice.learning_rate, [0.01, 0.01, 0.1, 0.1] * 2)
    np.testing.assert_allclose(choice.bias_start, [0] * 4 + [-1] * 4)
    np.testing.assert_allclose(choice.bias_decay, [0] * 4 + [0.5] * 4)


def test_a_neuron_of_one_feature_is_monosemantic_and_a_silent_one_is_not():
    response = np.array([[0, 2.0, 0], [1, 2, 0], [0, 0, 0], [0.001, 2, 0]])
    found = engineering.monosemantic(response)
    np.testing.assert_array_equal(found, [True, False, False, True])


def test_responses_are_those_to_each_feature_alone():
    params = engineering.Params(2 * jnp.eye(3, 2), -jnp.ones(2), jnp.zeros((2, 4)))
    rows = jnp.array([[1.0, 0, 0], [0, 0.25, 0], [0, 1, 0], [0, 0, 1]])
    expected = [[1, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(engineering.responses(params, rows), expected)


def test_biases_decay_in_the_first_half_alone():
    world = SparseFeatures(jnp.eye(4), firing.Independent(jnp.full(4, 0.0)))
    choice = jax.tree.map(lambda x: x[-1], engineering.choices_of(SMALL))
    params = engineering.begin(random.key(0), choice, SMALL)
    state = fit.start(params, engineering.lamb(choice, SMALL))

    def bias_after(n):
        moved, _ = engineering.advance(state, choice, random.key(1), world, n, SMALL)
        return float(moved.params.b[0])

    # Without data there is no gradient: only the decay moves the biases.
    rate = 0.1 * (1 + np.cos(np.pi * np.arange(1, 3) / 4)) / 2
    expected = -np.cumprod(1 - rate * 0.5)
    np.testing.assert_allclose(bias_after(2), expected[-1], rtol=1e-5)
    np.testing.assert_allclose(bias_after(4), bias_after(3), rtol=1e-6)


def test_equal_shares_at_a_higher_loss_fail():
    metrics = {"loss_plain": [1.0, 1.0], "loss_engineered": [1.0, 1.0], "loss_of_mean": 10}
    metrics |= {"share_plain": [0.1, 0.4], "share_engineered": [0.2, 0.9]}
    assert all(check.passed for check in engineering.make_checks(metrics))
    worse = metrics | {"loss_engineered": [1.2, 1.3], "share_engineered": [0.1, 0.3]}
    failed = [check.name for check in engineering.make_checks(worse) if not check.passed]
    assert len(failed) == 3
