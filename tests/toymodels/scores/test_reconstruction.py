"""Scores of code and reconstruction against their closed forms."""

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import reconstruction
from toymodels.scores.statistics import Statistics, measure, on_host

compiled = jax.jit(measure)

# Eight samples, the corners of a box with half-widths 1, 2, 3: total variance 14.
CORNERS = np.array(np.meshgrid([-1, 1], [-2, 2], [-3, 3])).reshape(3, -1).T.astype(float)
# A few float32 operations.
CLOSE = 1e-6


def statistics_of(x, x_hat, z=None, features=None) -> Statistics:
    nothing = np.zeros((len(x), 2))
    z, features = (nothing if v is None else np.asarray(v) for v in (z, features))
    x, x_hat, z, features = (np.float32(v) for v in (x, x_hat, z, features))
    return on_host(compiled(Batch(x, features), z, x_hat))


def explained_variance(x, x_hat) -> float:
    return reconstruction.explained_variance(statistics_of(x, x_hat))


def test_explained_variance_of_missing_coordinates():
    assert explained_variance(CORNERS, CORNERS) == 1
    # Without the coordinate of half-width h, h^2 of 14 is lost.
    for j, lost in enumerate((1, 4, 9)):
        x_hat = np.delete(CORNERS, j, axis=1)
        x_hat = np.insert(x_hat, j, 0, axis=1)
        assert explained_variance(CORNERS, x_hat) == pytest.approx(1 - lost / 14, abs=CLOSE)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_variance_is_about_the_mean_not_about_zero(offset):
    """The mean alone explains nothing; about zero it would explain almost all."""
    x = CORNERS + offset
    assert explained_variance(x, np.full_like(x, offset)) == pytest.approx(0, abs=CLOSE)
    assert explained_variance(x, x + np.array([0.5, 0, 0])) == pytest.approx(
        1 - 0.25 / 14, abs=CLOSE
    )


def test_bias_error_counts():
    """Subtracting the mean residual, as some libraries do, would hide it: 1 here."""
    for bias in (0.1, 1.0, 5.0):
        expected = 1 - 3 * bias**2 / 14
        assert explained_variance(CORNERS, CORNERS + bias) == pytest.approx(
            expected, rel=CLOSE
        )


def test_sums_over_dimensions_come_before_the_ratio():
    """The mean of the per-dimension ratios would be (1 - 1/1 + 2) / 3 = 2/3."""
    x_hat = CORNERS * [0, 1, 1]
    assert explained_variance(CORNERS, x_hat) == pytest.approx(13 / 14, abs=CLOSE)


@pytest.mark.parametrize("level", [0.0, 0.1, 1234.567])
def test_refuses_samples_that_are_all_equal(level):
    x = np.full((8, 3), level)
    with pytest.raises(ValueError, match=r"samples are equal, expected data that varies"):
        explained_variance(x, x)


def test_refuses_what_rounding_leaves_of_equal_samples():
    """480 samples at 0.7 left this sum."""
    x = np.full((8, 3), 0.7)
    found = statistics_of(x, x)._replace(x_m2=np.float64(2.9e-25))
    with pytest.raises(ValueError, match="samples are equal"):
        reconstruction.explained_variance(found)


def test_l0_and_firing_rates_are_exact():
    z = np.array([[1, 0, 0, 5], [2, 0, -1, 0], [1, 0, 0, 0], [1e-30, 0, 0, -3]])
    features = np.array([[1, 0], [0, 0], [1, 2], [0, 0]])
    x = CORNERS[:4]
    found = statistics_of(x, x, z, features)
    assert reconstruction.l0(found) == 7 / 4
    assert reconstruction.true_l0(found) == 3 / 4
    assert reconstruction.firing_rate(found).tolist() == [1, 0, 1 / 4, 1 / 2]
    assert reconstruction.dead(found) == 1 / 4
    assert reconstruction.dense(found) == 1 / 4  # exactly half is not more than half
    assert reconstruction.dense(found, above=0.49) == 1 / 2
    assert reconstruction.dense(found, above=0.2) == 3 / 4


def test_shrinkage_is_the_mean_of_ratios():
    """Not the ratio of means, and every sample counts alike."""
    x = np.array([[3.0, 4.0], [0.0, 100.0], [1.0, 0.0]])
    x_hat = np.array([[0.0, 2.5], [0.0, 100.0], [0.0, 3.0]])
    found = reconstruction.shrinkage(statistics_of(x, x_hat))
    assert found == pytest.approx((0.5 + 1 + 3) / 3, abs=CLOSE)


def test_shrinkage_leaves_out_samples_without_length():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [5e-7, 0.0], [2e-6, 0.0]])
    x_hat = np.array([[3.0, 4.0], [7.0, 0.0], [7.0, 0.0], [1e-6, 0.0]])
    found = statistics_of(x, x_hat)
    assert found.norm_count == 2
    assert reconstruction.shrinkage(found) == pytest.approx((1 + 0.5) / 2, abs=CLOSE)
