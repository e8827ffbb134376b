"""The law, who counts as found, and the threshold by independent arithmetic."""

from itertools import product

import jax
import numpy as np
import pytest
from scipy import optimize, stats

from experiments.phenomena import composed_features
from experiments.phenomena.composed_features import LAWS, OneFromEach
from synthetic import SparseFeatures, directions, random, testing

N = 2**15
SURPRISE = 1e-6  # a correct sampler fails a test below this for one seed in a million

sample = jax.jit(lambda world, key: world.sample(key, N))


def world(one_hot, equal):
    return SparseFeatures(directions.antipodal_pairs(2), OneFromEach(one_hot, equal))


@pytest.mark.parametrize("equal", [0.0, 1.0])
def test_one_of_each_pair_or_one_alone(equal):
    features = np.asarray(sample(world(0.3, equal), random.key(0)).features)
    on = features > 0
    x, y = on[:, :2].sum(axis=1), on[:, 2:].sum(axis=1)
    assert x.max() == y.max() == 1
    alone = x + y == 1
    assert (x + y >= 1).all()
    assert stats.binomtest(int(alone.sum()), N, 0.3).pvalue > SURPRISE
    # All four are equally frequent, together and alone.
    for rows in (on[alone], on[~alone]):
        assert stats.chisquare(rows.sum(axis=0)).pvalue > SURPRISE
    together = features[~alone]
    values = together[:, :2].sum(axis=1), together[:, 2:].sum(axis=1)
    assert np.allclose(*values) == bool(equal)
    for one in values:
        assert stats.kstest(one, "uniform").pvalue > SURPRISE


def test_conformance_of_the_world():
    testing.check(world(0.3, 0.0), random.key(1))


def turned(degrees):
    a = np.deg2rad(degrees)
    rows = composed_features.features()
    return rows @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def test_who_is_found():
    truth, diagonals = composed_features.features(), composed_features.diagonals()
    np.testing.assert_allclose(np.linalg.norm(diagonals, axis=1), 1)
    members = np.stack([truth, diagonals, turned(13), turned(20), -truth[[0, 1, 2, 2]]])
    found = composed_features.found(members, truth).tolist()
    assert found == [True, False, True, False, False]
    found = composed_features.found(members, diagonals).tolist()
    assert found == [False, True, False, False, False]


def cheapest(points, rows):
    """The mean of the least sum of z >= 0 with z rows = point, by linear programs."""
    found = [optimize.linprog(np.ones(len(rows)), A_eq=rows.T, b_eq=x) for x in points]
    return np.mean([result.fun for result in found])


@pytest.mark.parametrize("law", LAWS)
def test_the_threshold_by_linear_programs(law):
    """Costs on a grid of values: midpoints of 12 cells each way."""
    cells = (np.arange(12) + 0.5) / 12
    pairs = [(a, a) for a in cells] if law == LAWS[0] else list(product(cells, cells))
    truth, diagonals = composed_features.features(), composed_features.diagonals()
    alone = [(a, 0.0) for a in cells]
    grid = [cheapest(x, rows) for x in (pairs, alone) for rows in (truth, diagonals)]
    A2, D2, A1, D1 = composed_features.costs(law)
    # The mean of the larger of two values on the grid is 0.6655 instead of 2/3.
    np.testing.assert_allclose(grid, [A2, D2, A1, D1], rtol=2e-3)
    found = composed_features.threshold(A2, D2, A1, D1)
    assert found == pytest.approx({LAWS[0]: 2 - 2**0.5, LAWS[1]: 0.2164}[law], abs=1e-4)


def mean_cost(law, share, first, second):
    """Of two opposite pairs of rows at two angles, by a grid of values and all signs."""
    cells = (np.arange(40) + 0.5) / 40
    pairs = (
        np.stack([cells, cells], 1)
        if law == LAWS[0]
        else np.array([*product(cells, cells)])
    )
    signs = np.array([*product((-1, 1), (-1, 1))])
    composed = (signs[:, None] * pairs).reshape(-1, 2)
    one_hot = np.concatenate([a * composed_features.features() for a in cells])
    axes = np.deg2rad([first, second])
    rows = np.stack([np.cos(axes), np.sin(axes)])
    costs = [np.abs(np.linalg.solve(rows, x.T)).sum(axis=0) for x in (composed, one_hot)]
    return (1 - share) * costs[0].mean() + share * costs[1].mean()


@pytest.mark.parametrize(
    ("law", "share", "diagonals_hold"),
    [
        (LAWS[0], 0.1, True),
        (LAWS[0], 0.95, True),
        (LAWS[1], 0.5, True),
        (LAWS[1], 0.65, False),
    ],
)
def test_who_is_a_minimum_among_opposite_pairs(law, share, diagonals_hold):
    """Whichever pair is turned; with the divide at 45 degrees the diagonals are none."""
    divide = float(composed_features.divide(law, np.array(share)))
    assert (divide < 45) == diagonals_hold
    turns = ((4, 4), (-4, -4), (4, 0), (0, 4), (4, -4), (-4, 4))
    for start, holds in ((0, True), (45, diagonals_hold)):
        here = mean_cost(law, share, start, start + 90)
        around = [mean_cost(law, share, start + a, start + 90 + b) for a, b in turns]
        assert (min(around) > here) == holds


@pytest.mark.parametrize(("law", "share"), [(LAWS[0], 0.3), (LAWS[0], 0.8), (LAWS[1], 0.3)])
def test_the_divide_is_where_the_cost_is_greatest(law, share):
    angles = np.arange(0, 46)
    cost = [mean_cost(law, share, a, a + 90) for a in angles]
    divide = float(composed_features.divide(law, np.array(share)))
    assert angles[np.argmax(cost)] == pytest.approx(divide, abs=1)


def test_at_the_threshold_of_equal_values_both_are_as_likely():
    share = np.array([0.0, 2 - 2**0.5, 1.0])
    np.testing.assert_allclose(
        composed_features.predicted(LAWS[0], share), [1, 0.5, 0], atol=1e-6
    )


def test_starts_are_opposite_pairs_at_angles_spread_over_the_seeds():
    settings = composed_features.Settings(n_seeds=5, noise=0.0)
    rows = np.asarray(composed_features.start_rows(random.key(2), settings))
    np.testing.assert_allclose(rows[:, 0], -rows[:, 1], atol=1e-6)
    np.testing.assert_allclose(np.sum(rows[:, 0] * rows[:, 2], axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 1, atol=1e-6)
    angle = np.rad2deg(np.arctan2(rows[:, 0, 1], rows[:, 0, 0]))
    np.testing.assert_array_equal(np.floor(angle / 18), np.arange(5))


def test_checks_pass_for_the_prediction_and_notice_an_early_truth():
    x = np.array([0.0, 0.2, 0.5, 0.75, 1.0])
    composed = np.stack([composed_features.predicted(law, x) for law in LAWS])[:, None]
    seeds = np.arange(20) < np.round(20 * composed[..., None])
    arrays = {"one_hot": x, "composed": seeds, "true": ~seeds}

    def failed(arrays):
        return [c.name for c in composed_features.make_checks(arrays) if not c.passed]

    assert failed(arrays) == []
    early = np.ones_like(seeds)
    early[:, :, 0] = False
    found = failed({"one_hot": x, "composed": ~early, "true": early})
    assert "equal values: largest lead of the truth where it costs more" in found
    assert "three quarters one-hot, equal values: share composed" in found
    name = "independent values: distance from the predicted share composed"
    assert f"{name}, root mean square" in found
    assert "none one-hot: share true" in failed(arrays | {"true": np.ones_like(seeds)})
