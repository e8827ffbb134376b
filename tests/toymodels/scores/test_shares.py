"""Wilson's interval: the formula, its ends, and what it covers."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from toymodels.scores import intervals


@pytest.mark.parametrize(("successes", "n"), [(7, 64), (60, 64), (0, 16), (16, 16)])
def test_equals_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    found = intervals.wilson(successes, n, z=1.959963984540054)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("share", [0.11, 0.5, 0.94])
def test_covers_about_95_of_100(share):
    low, high = intervals.wilson(np.arange(65), 64)
    covers = (low <= share) & (share <= high)
    # Right on average over shares; at one share the steps of the binomial leave 3 %.
    covered = binom.pmf(np.arange(65), 64, share)[covers].sum()
    assert covered == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("successes", "n", "message"),
    [(3, 0, "n is 0, expected"), (5, 4, r"successes is 5, expected a number in \[0, 4\]")],
)
def test_bad_counts_are_refused(successes, n, message):
    with pytest.raises(ValueError, match=message):
        intervals.wilson(successes, n)
