"""Copula firing: exact marginals, joint rates of closed form, and matrices refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import SparseFeatures, directions, firing, magnitude, random
from synthetic.firing import correlation
from synthetic.testing import check

P = jnp.array([0.4, 0.25, 0.1, 0.03])
R = np.array([[1, 0.6, -0.3, 0], [0.6, 1, 0, 0.5], [-0.3, 0, 1, 0.2], [0, 0.5, 0.2, 1]])
FACTORS = jnp.array([[0.6, 0.0], [0.5, -0.5], [-0.4, 0.1], [0.3, 0.6]])
BATCH = 2**16

draw = jax.jit(lambda law, key: law.draw(key, BATCH))


def laws():
    low_rank = correlation.LowRank(P, FACTORS)
    implied = np.asarray(FACTORS, np.float64) @ np.asarray(FACTORS, np.float64).T
    np.fill_diagonal(implied, 1)
    dense = correlation.Copula.of_correlation(P, R)
    return [(dense, R), (low_rank, implied)]


def within(rate, expected):
    """Six standard deviations of a binomial share."""
    return abs(rate - expected) < 6 * np.sqrt(expected * (1 - expected) / BATCH)


@pytest.mark.parametrize("which", [0, 1])
def test_marginals_are_exact_and_pairs_fire_together_as_the_normal_law_says(which):
    law, r = laws()[which]
    fires = np.asarray(draw(law, random.key(100)).fires)
    threshold = stats.norm.ppf(np.asarray(P, np.float64))
    assert float(law.mean_l0) == pytest.approx(0.78)
    for i in range(4):
        assert within(fires[:, i].mean(), float(P[i]))
        for j in range(i):
            cov = [[1, r[i, j]], [r[i, j], 1]]
            both = stats.multivariate_normal.cdf(threshold[[i, j]], cov=cov)
            assert within((fires[:, i] & fires[:, j]).mean(), both), (i, j)


@pytest.mark.parametrize("which", [0, 1])
def test_levels_are_uniform_and_tell_nothing_of_other_features(which):
    law, _ = laws()[which]
    fires, level = map(np.asarray, draw(law, random.key(101)))
    assert level[fires].min() > 0
    assert level[fires].max() < 1
    for i in range(4):
        mine = level[fires[:, i], i]
        # Kolmogorov's law: the distance exceeds 3 / sqrt n with probability 3e-8.
        assert stats.kstest(mine, "uniform").statistic < 3 / np.sqrt(len(mine))
        partner = fires[fires[:, i], (i + 1) % 4]
        if partner.sum() > 30:
            difference = mine[partner].mean() - mine[~partner].mean()
            assert abs(difference) < 6 / np.sqrt(12 * partner.sum())


def test_probabilities_of_0_and_1_never_and_always_fire():
    sure = jnp.array([0.0, 1.0, 0.5, 1.0])
    for law, _ in laws():
        fires = np.asarray(law.replace(probability=sure).draw(random.key(102), 512).fires)
        assert not fires[:, 0].any()
        assert fires[:, [1, 3]].all()


def test_the_conditional_probability_of_some_features_is_that_of_all():
    law = correlation.LowRank(P, FACTORS)
    shared = law.shared(random.key(103), 3)
    every = law.given(shared)
    same = jnp.array([2, 0])
    np.testing.assert_allclose(law.given(shared, same), every[:, same], rtol=1e-5)
    other = jnp.array([[0, 3], [1, 1], [2, 0]])
    picked = jnp.take_along_axis(every, other, axis=1)
    np.testing.assert_allclose(law.given(shared, other), picked, rtol=1e-5)


def test_a_random_correlation_matrix_is_one_and_mixes_signs():
    matrix = correlation.random_correlation(random.key(104), 40)
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_array_equal(np.diagonal(matrix), 1)
    np.testing.assert_array_equal(matrix, matrix.T)
    upper = matrix[np.triu_indices(40, 1)]
    # Half of the correlated pairs are positive, and the projection keeps most signs.
    assert 0.4 < (upper > 0).mean() < 0.6
    assert 0.05 < np.abs(upper).mean() < 0.4
    small = correlation.random_correlation(random.key(105), 2, 0.0, 1.0, 0.3, 0.3)
    np.testing.assert_allclose(small, [[1, 0.3], [0.3, 1]], atol=1e-7)


def test_the_projection_keeps_correlation_matrices_and_repairs_others():
    np.testing.assert_allclose(correlation.nearest(R), R, atol=1e-12)
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    repaired = correlation.nearest(impossible)
    assert np.linalg.eigvalsh(repaired).min() > 0
    # By symmetry all three shrink to the same size, and 1 - 2r = 0 is the limit.
    np.testing.assert_allclose(np.abs(repaired[np.triu_indices(3, 1)]), 0.5, atol=1e-5)


def test_random_factors_have_the_asked_scale_and_leave_own_variance():
    factors = correlation.random_factors(random.key(106), 2000, 25, 0.1)
    square = np.square(np.asarray(factors)).sum(1)
    # A sum of 25 squares: mean 0.25, variance 2 * 25 * 1e-4.
    assert abs(square.mean() - 0.25) < 6 * np.sqrt(0.005 / 2000)
    wild = correlation.random_factors(random.key(107), 50, 3, 5.0)
    assert np.square(np.asarray(wild)).sum(1).max() < 0.9901


@pytest.mark.parametrize("which", [0, 1])
def test_a_correlated_world_keeps_the_contract(which):
    law, _ = laws()[which]
    rows = directions.random(random.key(108), 4, 3)
    world = SparseFeatures(rows, law, magnitude.Uniform(0.5, 1.5))
    check(world, random.key(109), batch_size=16)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: correlation.Copula.of_correlation(P, np.ones((4, 3))),
            r"correlation matrix has shape \(4, 3\), expected a square; give one row",
        ),
        (
            lambda: correlation.Copula.of_correlation(P, np.triu(R)),
            r"differs from its transpose by 0.6, expected a symmetric matrix",
        ),
        (
            lambda: correlation.Copula.of_correlation(P, R * np.nan),
            r"differs from its transpose by nan",
        ),
        (
            lambda: correlation.Copula.of_correlation(P, 2 * R),
            r"diagonal of the correlation matrix is off by 1, expected ones; divide row",
        ),
        (
            lambda: correlation.Copula.of_correlation(P, 1 - 2 * (R < 0) - 0.01 * (R < 1)),
            r"has the eigenvalue -[0-9.]+, expected none below 0; no features .*nearest",
        ),
        (
            lambda: correlation.Copula.of_correlation(P[:3], R),
            r"number of rows of root is 4, expected 3; give one row",
        ),
        (
            lambda: correlation.Copula(P, 2 * jnp.eye(4)),
            r"length of a row of root is 2, expected .*; use Copula.of_correlation",
        ),
        (
            lambda: correlation.LowRank(P, 2 * FACTORS),
            r"squared length of a row of factors is 1.44, expected .* use a smaller scale",
        ),
        (
            lambda: correlation.LowRank(P + 1, FACTORS),
            r"probability holds 1.4, expected probabilities in \[0, 1\]",
        ),
        (
            lambda: correlation.random_correlation(random.key(0), 3, low=0.9, high=0.5),
            r"low is 0.9, expected a number in \[0, 0.5\]",
        ),
        (
            lambda: firing.log_uniform(random.key(0), 3, 0.0, 0.5),
            r"low is 0, expected .* its logarithm is taken",
        ),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_log_uniform_probabilities_spread_evenly_over_decades():
    p = np.asarray(firing.log_uniform(random.key(110), 4000, 1e-4, 1e-1))
    share = (np.log10(p) + 4) / 3
    assert stats.kstest(share, "uniform").statistic < 3 / np.sqrt(4000)
