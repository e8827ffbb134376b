"""Compensation under a copula: against Gauss-Hermite quadrature and against samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from synthetic import random
from synthetic.firing.correlation import LowRank, random_factors
from synthetic.hierarchy import Gated, compensation, shared_compensation
from synthetic.hierarchy.forest import Forest

# 0 has the exclusive children 1 and 2; 2 has the children 3 and 4, who do not exclude.
FOREST = Forest.of([-1, 0, 0, 2, 2, -1], np.arange(6) == 0)
WANTED = np.array([0.4, 0.1, 0.2, 0.05, 0.08, 0.3])
# For one source, points enough to leave little more than the solver's own error of 1e-6.
POINTS = 2**14
# The two siblings 1 and 2 shun each other, and 2 its parent as well.
AGAINST = np.array([[0.9], [0.9], [-0.9], [0], [0], [0]])


def by_quadrature(b, factor):
    """P(fires) of every feature of FOREST, written out, for one shared source."""
    node, weight = np.polynomial.hermite_e.hermegauss(120)
    p = special.ndtr((np.outer(node, factor) + special.ndtri(b)) / np.sqrt(1 - factor**2))
    one = p[:, 0] * p[:, 1] * (1 - p[:, 2] / 2)
    two = p[:, 0] * p[:, 2] * (1 - p[:, 1] / 2)
    each = np.stack([p[:, 0], one, two, two * p[:, 3], two * p[:, 4], p[:, 5]])
    return each @ weight / weight.sum()


@pytest.mark.parametrize("scale", [0.3, -0.6, 0.9])
def test_one_source_as_by_quadrature(scale):
    factor = scale * np.array([1, -0.5, 1, 0.8, -1, 0.3])
    b = shared_compensation.exact(WANTED, factor[:, None], FOREST, POINTS)
    np.testing.assert_allclose(by_quadrature(b, factor), WANTED, rtol=5e-5)
    law = LowRank(jnp.asarray(b), factor[:, None])
    at_points = shared_compensation.marginals(law, FOREST, POINTS)
    np.testing.assert_allclose(at_points, by_quadrature(b, factor), rtol=5e-5)


def test_without_factors_as_for_independent_features():
    b = shared_compensation.exact(WANTED, np.zeros((6, 2)), FOREST)
    np.testing.assert_allclose(b, compensation.exact(WANTED, FOREST), rtol=1e-5)


def test_samples_fire_as_wanted_where_the_independent_answer_does_not():
    key_factors, key_right, key_wrong = jax.random.split(random.key(3), 3)
    factors = random_factors(key_factors, 6, rank=5, scale=0.35)
    b = shared_compensation.exact(WANTED, factors, FOREST)
    n = 400_000

    def deviations(key, probability):
        law = Gated(LowRank(probability.astype(np.float32), factors), FOREST)
        rate = np.asarray(jax.jit(lambda k: law.draw(k, n).fires.mean(0))(key))
        return (rate - WANTED) / np.sqrt(WANTED * (1 - WANTED) / n)

    assert np.abs(deviations(key_right, b)).max() < 4.5
    assert np.abs(deviations(key_wrong, compensation.exact(WANTED, FOREST))).max() > 20


def test_features_that_never_fire_stay_at_zero():
    wanted = np.array([0.4, 0.1, 0.0, 0.0, 0.0, 0.0])
    b = shared_compensation.exact(wanted, np.full((6, 1), 0.5), FOREST)
    assert (b[2:] == 0).all()


@pytest.mark.parametrize(
    ("wanted", "factors", "message"),
    [
        ([0.1, 0.2, 0.1, 0, 0, 0], np.zeros((6, 1)), "no more frequent than its parent"),
        ([0.2, 0.15, 0.1, 0, 0, 0], np.zeros((6, 1)), "exclude each other"),
        (WANTED, np.zeros((5, 1)), "one row of factors per feature"),
        ([0.2, 0.15, 0.05, 0, 0, 0], AGAINST, "leave room below their parent"),
    ],
)
def test_refuses_what_no_probabilities_can_give(wanted, factors, message):
    with pytest.raises(ValueError, match=message):
        shared_compensation.exact(np.asarray(wanted), factors, FOREST, n_points=256)
