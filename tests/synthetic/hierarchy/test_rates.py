"""Rates and mean values in closed form, against formulas and against counting."""

import jax
import numpy as np
import pytest

from synthetic import firing, magnitude, random
from synthetic.firing import correlation
from synthetic.firing.active import Events
from synthetic.hierarchy import Gated, Inherited, rates
from synthetic.hierarchy.forest import Forest
from synthetic.hierarchy.topdown import TopDown

P = np.array([0.5, 0.2, 0.4, 0.1])
FOREST = Forest.of([-1, 0, 0, -1], exclusive=True)


@pytest.mark.parametrize("law", [firing.Independent(P), Events(P, 30)])
def test_without_a_forest_rates_are_the_probabilities(law):
    np.testing.assert_allclose(rates.firing_rate(law), P)


@pytest.mark.parametrize("around", [Gated, TopDown.of])
def test_a_forest_thins(around):
    """Children 0.2 and 0.4 of a parent of 0.5: where both fire, each stays in half."""
    found = rates.firing_rate(around(firing.Independent(P), FOREST))
    np.testing.assert_allclose(found, [0.5, 0.5 * (0.2 - 0.04), 0.5 * (0.4 - 0.04), 0.1])


def test_shared_sources_count_on_average():
    """Against counting: a child of a correlated parent fires more often than apart."""
    factors = np.array([[0.7], [0.7], [0.5], [0.0]])
    law = Gated(correlation.LowRank(P, factors), FOREST)
    n = 1 << 15
    counted = np.asarray(jax.jit(lambda k: law.draw(k, n).fires.mean(0))(random.key(100)))
    found = rates.firing_rate(law)
    # Five standard errors of counting, and a per cent for 500 draws of the source.
    assert (np.abs(found - counted) < 5 * np.sqrt(P * (1 - P) / n) + 0.01 * P).all()
    assert found[1] > 1.1 * 0.5 * (0.2 - 0.04)


def test_a_law_without_probabilities_is_refused():
    with pytest.raises(ValueError, match=r"firing of the world is ExactlyK, expected"):
        rates.firing_rate(firing.ExactlyK(4, 2))


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (magnitude.Constant(3.0), 3),
        (magnitude.Uniform(1.0, 2.0), 1.5),
        (magnitude.RectifiedNormal(4.0, 0.5), 4),
        (magnitude.LogNormal(4.0, 0.5), 4 * np.exp(0.125)),
        (magnitude.Signed(magnitude.Constant(2.0)), 0),
        (Inherited(magnitude.Constant(2.0), FOREST), 2),
    ],
)
def test_mean_values_are_those_of_the_laws(law, expected):
    found = rates.mean_magnitude(law, 4)
    # The midpoint rule misses a little of a long tail.
    np.testing.assert_allclose(found, np.full(4, expected), rtol=2e-3, atol=1e-6)


def test_mean_values_differ_by_feature():
    found = rates.mean_magnitude(magnitude.RectifiedNormal(np.array([1.0, 5.0]), 0.1), 2)
    np.testing.assert_allclose(found, [1, 5], rtol=1e-4)
