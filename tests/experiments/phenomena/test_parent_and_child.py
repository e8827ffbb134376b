"""The exact loss: codes, closed forms, and the library's own loss at the exact weights."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from experiments.phenomena import parent_and_child
from experiments.phenomena.parent_and_child import SAMPLES, Case
from synthetic import random
from toymodels.sae import Params, ReLU

HIERARCHY = Case(0.2, 0.0, 1e-3)


def test_probabilities_are_those_of_the_law():
    case = Case(0.2, 0.1, 0.0)
    joint = case.probability
    # P(parent) = 0.25, P(child) = 0.25 * 0.2 + 0.75 * 0.1, both 0.05.
    np.testing.assert_allclose(joint @ SAMPLES, [0.25, 0.125])
    assert joint[3] == pytest.approx(0.05)
    assert joint.sum() == pytest.approx(1)


@pytest.mark.parametrize("n_latents", [1, 2])
def test_least_cost_is_what_a_bounded_minimiser_finds(n_latents):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_latents, 2))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    x = rng.normal(size=(12, 2))

    def cost(z, point):
        return np.square(point - z @ rows).sum() + 0.3 * z.sum()

    expected = [
        min(
            optimize.minimize(
                cost, start, (point,), "L-BFGS-B", bounds=[(0, None)] * n_latents
            ).fun
            for start in (np.zeros(n_latents), np.ones(n_latents))
        )
        for point in x
    ]
    found = parent_and_child.least_cost(x, rows, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def top_eigenvector(matrix):
    vector = np.linalg.eigh(matrix)[1][:, -1]
    return vector * np.sign(vector[0])


@pytest.mark.parametrize("q", [0.2, 0.7])
def test_without_biases_and_penalty_it_is_an_eigenvector(q):
    expected = top_eigenvector(np.array([[1, q], [q, q]]))
    found = parent_and_child.one_latent(Case(q, 0.0, 0.0, has_bias=False)).rows[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    closed = parent_and_child.by_eigenvector(np.array([q]), has_bias=False)[0]
    np.testing.assert_allclose(closed, expected, atol=1e-12)
    if q == 0.2:
        assert found[1] == pytest.approx(0.230, abs=5e-4)  # sin of 13.3 degrees


def test_with_biases_and_hardly_a_penalty_it_is_the_covariances():
    case = Case(0.2, 0.0, 1e-6)
    covariance = np.cov(SAMPLES.T, aweights=case.probability, bias=True)
    expected = top_eigenvector(covariance)
    closed = parent_and_child.by_eigenvector(np.array([0.2]), has_bias=True)[0]
    np.testing.assert_allclose(closed, expected, atol=1e-12)
    np.testing.assert_allclose(
        parent_and_child.one_latent(case).rows[0], expected, atol=1e-4
    )


def loss_of_relu(case, rows, columns, b_enc, bias):
    """`ReLU.loss` on samples that come as often as the case says, in twentieths."""
    times = np.round(case.probability * 20).astype(int)
    np.testing.assert_allclose(times / 20, case.probability, atol=1e-12)
    x = jnp.asarray(np.repeat(SAMPLES, times, axis=0), jnp.float32)
    weights = (np.transpose(columns), b_enc, rows, bias)
    params = Params(*(jnp.asarray(part, jnp.float32) for part in weights))
    dictionary = ReLU(len(rows), sparsity=case.penalty, revive=None)
    return float(dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))[0])


def test_a_tied_encoder_reaches_the_exact_loss_of_one_latent():
    for case in (HIERARCHY, Case(0.2, 0.2, 0.1), Case(0.2, 0.0, 0.05, has_bias=False)):
        rows, bias, loss = parent_and_child.one_latent(case)
        found = loss_of_relu(case, rows, rows, [-case.penalty / 2], bias)
        assert found == pytest.approx(loss, abs=1e-6)


def test_a_negative_correlation_has_a_second_state_that_is_worse():
    first, second = parent_and_child.states(Case(0.1, 0.2, 0.02))
    assert first.loss < second.loss
    # In the first the latent is on when nothing fires, in the second it is off there.
    on = [(-state.bias @ state.rows[0]) - 0.01 > 0.1 for state in (first, second)]
    assert on == [True, False]
    assert second.rows[0, 1] > first.rows[0, 1] + 0.05
    assert len(parent_and_child.states(HIERARCHY)) == 1


def test_two_latents_absorb_a_hierarchy_and_the_library_reaches_that_loss():
    rows, _, loss = parent_and_child.two_latents(HIERARCHY)
    np.testing.assert_allclose(rows[0], [1, 0], atol=1e-2)
    np.testing.assert_allclose(rows[1], [0.5**0.5] * 2, atol=1e-2)
    # By hand: the child silences the parent's latent, the parent alone not the child's.
    half = 0.5**0.5
    found = loss_of_relu(
        HIERARCHY, [[1, 0], [half, half]], [[1, -1], [0, 2 * half]], [-5e-4, -5e-4], [0, 0]
    )
    assert found == pytest.approx(loss, abs=2e-6)
    truth = loss_of_relu(HIERARCHY, np.eye(2), np.eye(2), [-5e-4] * 2, [0, 0])
    # Samples with both pay 2 instead of sqrt(2), each times the penalty.
    assert truth - found == pytest.approx(0.05 * 1e-3 * (2 - 2**0.5), rel=0.05)


@pytest.mark.parametrize("otherwise", [0.02, 0.05])
def test_a_child_that_fires_alone_turns_by_the_first_order_angle(otherwise):
    case = Case(0.2, otherwise, 5e-4)
    neither, parent, child, both = case.probability
    (towards, away) = parent_and_child.two_latents(case).rows[1]
    # What is left out is of the order of the angle itself, one part in a few hundred.
    expected = case.penalty / 2 * (both / child - parent / neither)
    assert np.arctan2(towards, away) == pytest.approx(expected, rel=0.01)


def test_the_start_is_tied_unit_and_near():
    rows = jnp.eye(2, 6)
    params = parent_and_child.near(random.key(0), rows, 0.05)
    np.testing.assert_array_equal(params.W_enc.T, params.W_dec)
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 1, rtol=1e-6)
    assert 0.9 < float(jnp.diagonal(params.W_dec @ rows.T).min()) < 1
