"""Values of active features against the closed forms of their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import magnitude

N = 100_000
# The midpoints of N equal parts of (0, 1): a mean over them is an integral, and for a
# normal's square, which diverges like log at the ends, it is off by about log(N)/N = 1e-4.
MIDPOINTS = (np.arange(N) + 0.5) / N
CLOSE = 5e-4


def values(law):
    return np.asarray(law.from_level(jnp.asarray(MIDPOINTS, jnp.float32)), np.float64)


def test_constant():
    np.testing.assert_array_equal(values(magnitude.Constant(2.5)), 2.5)
    per_feature = magnitude.Constant(jnp.array([1.0, 2.0, 3.0]))
    level = jnp.full((2, 3), 0.4)
    np.testing.assert_array_equal(per_feature.from_level(level), [[1, 2, 3], [1, 2, 3]])


def test_uniform_is_the_scaled_level():
    law = magnitude.Uniform(jnp.array([0.0, -1.0]), 3.0)
    level = jnp.array([[0.25, 0.25], [0.5, 0.5]])
    np.testing.assert_array_equal(law.from_level(level), [[0.75, 0.0], [1.5, 1.0]])
    np.testing.assert_array_equal(magnitude.Uniform().from_level(level), level)


@pytest.mark.parametrize(("mean", "std"), [(1.0, 0.15), (0.0, 1.0), (-0.5, 2.0)])
def test_rectified_normal_moments(mean, std):
    """E y = m Phi(m/s) + s phi(m/s); E y^2 = (m^2 + s^2) Phi(m/s) + m s phi(m/s)."""
    cdf, pdf = stats.norm.cdf(mean / std), stats.norm.pdf(mean / std)
    y = values(magnitude.RectifiedNormal(mean, std))
    assert y.mean() == pytest.approx(mean * cdf + std * pdf, abs=CLOSE * std)
    second = (mean**2 + std**2) * cdf + mean * std * pdf
    assert (y**2).mean() == pytest.approx(second, abs=CLOSE * std**2)
    assert (y == 0).mean() == pytest.approx(1 - cdf, abs=2 / N)
    assert y.min() >= 0


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.5), (-2.0, 1.0)])
def test_folded_normal_moments(mean, std):
    """SciPy's foldnorm has c = |mean| / std; for mean 0 its mean is sqrt(2 / pi) std."""
    y = values(magnitude.FoldedNormal(mean, std))
    expected_mean, expected_var = stats.foldnorm.stats(abs(mean) / std, scale=std)
    assert y.mean() == pytest.approx(expected_mean, abs=CLOSE * std)
    assert y.var() == pytest.approx(expected_var, abs=CLOSE * std**2)
    assert y.min() >= 0


@pytest.mark.parametrize("law", [magnitude.RectifiedNormal, magnitude.FoldedNormal])
def test_extreme_levels_give_finite_values(law):
    """The ends of `firing.uniform` are 2**-32 and 1 - 2**-24: 6.2 and 5.3 deviations."""
    ends = jnp.array([2.0**-32, 1 - 2.0**-24])
    y = law(10.0, 1.0).from_level(ends)
    # ndtri in float32 is good to about 1e-6 of its value.
    np.testing.assert_allclose(y, 10 + stats.norm.ppf(np.asarray(ends, float)), rtol=1e-5)


@pytest.mark.parametrize("law", [magnitude.RectifiedNormal, magnitude.FoldedNormal])
def test_a_negative_deviation_is_refused(law):
    with pytest.raises(ValueError, match=r"std is -0.1, expected a number in \[0, inf\]"):
        law(1.0, -0.1)


def test_parameters_are_leaves():
    laws = magnitude.RectifiedNormal(jnp.array([1.0, 2.0]), jnp.array([0.0, 0.0]))
    level = jnp.full(3, 0.5)
    y = jax.vmap(lambda law: law.from_level(level))(laws)
    np.testing.assert_allclose(y, [[1, 1, 1], [2, 2, 2]], atol=1e-6)
