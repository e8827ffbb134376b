"""Orthogonalisation, concept trees, planes, and the laws of magnitude that go with them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from synthetic import SparseFeatures, directions, firing, geometry, magnitude, random
from synthetic.firing import sets
from synthetic.noise import add_noise

LEVEL = (jnp.arange(20_000) + 0.5) / 20_000


def test_orthogonalisation_follows_the_published_loss():
    """Against the loss written over all pairs of rows, with the same optimiser."""
    n, d, key = 12, 5, random.key(100)

    def published(rows):
        gram = rows @ rows.T
        pairs = jnp.sum(jnp.square(gram)) - jnp.sum(jnp.square(jnp.diagonal(gram)))
        return pairs + n * jnp.sum(jnp.square(jnp.diagonal(gram) - 1))

    optimizer = optax.adam(0.01)
    rows = directions.random(key, n, d)
    state, step = optimizer.init(rows), jax.jit(jax.grad(published))
    for _ in range(30):
        updates, state = optimizer.update(step(rows), state)
        rows = optax.apply_updates(rows, updates)
    got = geometry.orthogonalised(jax.random.clone(key), n, d, 30, 0.01)
    np.testing.assert_allclose(got, directions.unit_rows(rows), atol=2e-5)


def test_rows_that_fit_become_orthogonal():
    rows = geometry.orthogonalised(random.key(101), 6, 8, 400)
    assert float(directions.max_coherence(rows)) < 0.01
    np.testing.assert_array_equal(
        geometry.orthogonalised(random.key(102), 6, 8, 0),
        directions.random(random.key(102), 6, 8),
    )


def test_many_directions_are_drawn_in_blocks(monkeypatch):
    monkeypatch.setattr(directions, "_ONE_DRAW", 1000)
    rows = np.asarray(directions.random(random.key(107), 205, 5), np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    cosine = rows @ rows.T - np.eye(205)
    assert np.abs(cosine).max() < 0.9999
    # Of 205 uniform directions: the mean of d d^T is 1 / 5.
    assert np.abs(rows.T @ rows / 205 - np.eye(5) / 5).max() < 5 * 0.35 / np.sqrt(205)


def test_concepts_are_orthogonal_to_their_ancestors_and_siblings_form_a_simplex():
    parents = np.array([-1, 0, 0, 0, 1, 1, 4, -1])
    rows = np.asarray(geometry.concept_tree(random.key(103), parents, 6), np.float64)
    gram = rows @ rows.T
    np.testing.assert_allclose(np.diagonal(gram), 1, atol=1e-6)
    for child, ancestors in {
        1: [0],
        2: [0],
        3: [0],
        4: [1, 0],
        5: [1, 0],
        6: [4, 1, 0],
    }.items():
        np.testing.assert_allclose(gram[child, ancestors], 0, atol=1e-6)
    np.testing.assert_allclose(gram[[1, 1, 2], [2, 3, 3]], -0.5, atol=1e-6)
    assert gram[4, 5] == pytest.approx(-1, abs=1e-6)
    assert abs(gram[0, 7]) > 1e-3


def test_a_circle_has_a_uniform_angle_and_its_radius():
    rows = geometry.planes(random.key(104), 3, 5)
    gram = np.asarray(rows @ rows.T)
    for i in range(3):
        np.testing.assert_allclose(
            gram[2 * i : 2 * i + 2, 2 * i : 2 * i + 2], np.eye(2), atol=1e-6
        )
    law = sets.CorrelatedSets(jnp.full(3, 0.5), 2)
    world = SparseFeatures(
        rows, law, magnitude.Circle(magnitude.Constant(jnp.arange(1.0, 4.0)))
    )
    features = np.asarray(
        jax.jit(lambda w, k: w.sample(k, 4096).features)(world, random.key(105))
    )
    pairs = features.reshape(-1, 3, 2)
    length = np.linalg.norm(pairs, axis=-1)
    present = length > 0
    np.testing.assert_allclose(length[present], (present * [1, 2, 3])[present], rtol=1e-5)
    angle = np.arctan2(pairs[..., 1], pairs[..., 0])[present] / (2 * np.pi) % 1
    assert stats.kstest(angle, "uniform").statistic < 3 / np.sqrt(len(angle))


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (magnitude.LogNormal(2.0, 0.7), stats.lognorm(0.7, scale=2)),
        (magnitude.Pareto(1.5, 3.0), stats.pareto(3, scale=1.5)),
        (magnitude.Signed(magnitude.Uniform(), 0.5), stats.uniform(-1, 2)),
    ],
)
def test_values_of_even_levels_have_the_quantiles_of_the_law(law, reference):
    value = np.asarray(law.from_level(LEVEL), np.float64)
    assert stats.kstest(value, reference.cdf).statistic < 2e-4


def test_signs_come_as_often_as_asked_and_the_size_is_the_law():
    value = np.asarray(magnitude.Signed(magnitude.Uniform(1, 2), 0.2).from_level(LEVEL))
    assert (value > 0).mean() == pytest.approx(0.2, abs=1e-4)
    assert stats.kstest(np.abs(value), stats.uniform(1, 1).cdf).statistic < 2e-4
    always = magnitude.Signed(magnitude.Constant(), 1.0).from_level(LEVEL)
    assert (np.asarray(always) == 1).all()


def test_means_by_rank():
    np.testing.assert_allclose(magnitude.linear(5, 5.0, 4.0), [5, 4.75, 4.5, 4.25, 4])
    np.testing.assert_allclose(magnitude.exponential(4, 8.0, 1.0), [8, 4, 2, 1], rtol=1e-6)


def test_structured_noise_has_the_covariance_of_its_matrix():
    matrix = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.5, -0.5]])
    x = np.asarray(add_noise(random.key(106), jnp.zeros((2**15, 3)), matrix), np.float64)
    expected = np.asarray(matrix.T @ matrix)
    # The variance of an entry of a sample covariance is (S_ii S_jj + S_ij^2) / n.
    diagonal = np.diagonal(expected)
    error = np.sqrt((np.outer(diagonal, diagonal) + expected**2) / 2**15)
    assert np.abs((x.T @ x / 2**15 - expected) / error).max() < 5


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: geometry.concept_tree(random.key(0), [-1, 0, 0, 0, 0], 3),
            r"4 siblings below 1 ancestors need 4 dimensions, expected at most d_model = 3",
        ),
        (
            lambda: geometry.planes(random.key(0), 2, 1),
            r"d_model is 1, expected .* a plane",
        ),
        (
            lambda: magnitude.Circle().from_level(jnp.ones((2, 3))),
            r"last axis of level modulo 2 is 1, expected 0; circles are pairs",
        ),
        (
            lambda: magnitude.Signed(magnitude.Constant(), 2.0),
            r"positive holds 2, expected",
        ),
        (lambda: magnitude.Pareto(1.0, 0.0), r"exponent is 0, expected .* the tail falls"),
        (lambda: magnitude.exponential(3, 1.0, 0.0), r"last is 0, expected"),
        (
            lambda: SparseFeatures(
                jnp.eye(2), firing.Independent(jnp.full(2, 0.5)), noise=-1.0
            ),
            r"noise is -1, expected .* it is a deviation",
        ),
        (lambda: firing.Independent(jnp.array([0.5, -0.1])), r"probability holds -0.1"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()
