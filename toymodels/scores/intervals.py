"""Intervals: a bootstrap over the blocks of one pass, and differences across seeds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key
from scipy import stats

from synthetic.validation import require_finite, require_range, require_width
from toymodels.scores.statistics import Statistics


class Interval(NamedTuple):
    """Attributes:
    value: the estimate.
    low, high: the ends of its interval.
    """

    value: float
    low: float
    high: float


def resample(
    key: Key[Array, ""], n_blocks: int, draws: int
) -> Int[np.ndarray, "draw block"]:
    """How often each block is taken in each draw of `n_blocks` blocks with replacement."""
    fix = "one block has no spread; take smaller blocks"
    require_range("the number of blocks", n_blocks, low=2, fix=fix)
    require_range("draws", draws, low=1, fix="each draw is one resampling")
    taken = jax.random.randint(key, (draws, n_blocks), 0, n_blocks, jnp.int32)
    return np.stack([np.bincount(row, minlength=n_blocks) for row in np.asarray(taken)])


def weighted(stacked: Statistics, weights: Int[np.ndarray, " block"]) -> Statistics:
    """All blocks together, block b taken weights[b] times.

    `stacked` has a leading axis of blocks, float64, the means whole (`on_host`). The
    moments are as in `statistics.merge`: M2 = sum_b w_b (M2_b + n_b (mean_b - mean)^2).
    """
    sizes = weights * stacked.n
    n = sizes.sum()

    def total(values):
        return np.tensordot(weights, values, 1)

    def moved(values):
        mean = np.tensordot(sizes, values, 1) / n
        return mean, values - mean

    (z_mean, z_step), (a_mean, a_step), (x_mean, x_step) = (
        moved(values) for values in (stacked.z_mean, stacked.a_mean, stacked.x_mean)
    )
    summed = {
        name: total(getattr(stacked, name))
        for name in ("z_on", "a_on", "both_on", "error", "norm_ratio", "norm_count")
    }
    return Statistics(
        n=n,
        z_mean=z_mean,
        a_mean=a_mean,
        x_mean=x_mean,
        z_low=np.zeros_like(z_mean),
        a_low=np.zeros_like(a_mean),
        x_low=np.zeros_like(x_mean),
        z_m2=total(stacked.z_m2) + sizes @ z_step**2,
        a_m2=total(stacked.a_m2) + sizes @ a_step**2,
        za=total(stacked.za) + (sizes[:, None] * z_step).T @ a_step,
        x_m2=total(stacked.x_m2) + sizes @ (x_step**2).sum(axis=1),
        **summed,
    )


def weighted_sums(stacked: Any, weights: Int[np.ndarray, " block"]) -> Any:
    """The same for plain sums: any pytree with a leading axis of blocks."""
    return jax.tree.map(lambda values: np.tensordot(weights, values, 1), stacked)


def bootstrap(
    scores: Callable[[Int[np.ndarray, " block"]], Mapping[str, float]],
    weights: Int[np.ndarray, "draw block"],
    level: float = 0.95,
) -> dict[str, Interval]:
    """Student's t intervals of every score, over resampled blocks (Efron 1979).

    value -+ t(B - 1) s sqrt(B / (B - 1)), where s is the standard deviation of the draws
    and B the number of blocks: for a mean over blocks that is Student's interval of the B
    block means, so that it covers as often as it says however few blocks there are. (The
    quantiles of the draws would cover 89 % of the time with 8 blocks where they say 95 %.)
    It is symmetric, and may reach a little beyond the range of a score.

    It speaks of the samples only: the dictionary is held fixed, so for the spread of
    training see `paired_difference`.

    Two dictionaries measured on the same blocks are compared by one call whose `scores`
    returns their differences: the same weights then serve both.

    Args:
        scores: from the weights of the blocks to scores by name; called once with all
            weights 1 for the estimates. Draws in which a score is NaN do not count for it;
            with fewer than two others its interval is NaN.
        weights: from `resample`.
        level: how often the interval is to cover.
    """
    require_range("level", level, 0.0, 1.0, "95 % is 0.95")
    n_blocks = weights.shape[1]
    fix = "one block has no spread; take smaller blocks"
    require_range("the number of blocks", n_blocks, low=2, fix=fix)
    values = scores(np.ones(n_blocks, int))
    drawn = [scores(row) for row in weights]
    quantile = stats.t.ppf((1 + level) / 2, n_blocks - 1)
    stretch = float(quantile * np.sqrt(n_blocks / (n_blocks - 1)))
    intervals = {}
    for name, value in values.items():
        found = np.array([draw[name] for draw in drawn], float)
        found = found[~np.isnan(found)]
        half = stretch * float(found.std(ddof=1)) if len(found) > 1 else np.nan
        intervals[name] = Interval(float(value), float(value - half), float(value + half))
    return intervals


def paired_difference(
    first: Sequence[float] | Float[np.ndarray, " seed"],
    second: Sequence[float] | Float[np.ndarray, " seed"],
    level: float = 0.95,
) -> Interval:
    """Mean of first - second over seeds, Student's t interval of the differences.

    Seed i must be the same world, samples and initial key in both, so that what they share
    cancels.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    fix = "pair them seed by seed"
    require_width("the number of seeds of the second", len(b), len(a), fix)
    require_range("the number of seeds", len(a), low=2, fix="one seed has no spread")
    require_range("level", level, 0.0, 1.0, "95 % is 0.95")
    require_finite("first", a)
    require_finite("second", b)
    difference = a - b
    error = difference.std(ddof=1) / np.sqrt(len(a))
    half = float(stats.t.ppf((1 + level) / 2, len(a) - 1) * error)
    value = float(difference.mean())
    return Interval(value, value - half, value + half)


def wilson(
    successes: ArrayLike, n: int, z: float = 1.96
) -> tuple[Float[np.ndarray, "*any"], Float[np.ndarray, "*any"]]:
    """The interval of a share (Wilson 1927); 95 % for z = 1.96.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) with p = successes / n.
    Unlike p -+ z sqrt(p (1 - p)/n) it has a width at p = 0 and 1 and stays inside [0, 1].

    Raises:
        ValueError: n is below 1, or `successes` is not in [0, n].
    """
    require_range("n", n, low=1)
    require_range("successes", successes, 0, n, "it counts some of the n")
    share = np.asarray(successes, float) / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    whole = 1 + z**2 / n
    return (centre - half) / whole, (centre + half) / whole
