"""The standard worlds are what their docstrings say, and the same everywhere."""

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from synthetic import random
from synthetic.worlds import standard

N = 40_000


@pytest.fixture(scope="module")
def drawn():
    """Name to (world, features) of 40,000 samples."""
    sample = jax.jit(lambda world, key: world.sample(key, N))
    worlds = {name: standard.world(name) for name in standard.WORLDS}
    return {
        name: (w, np.asarray(sample(w, random.key(7)).features))
        for name, w in worlds.items()
    }


def close(share, expected, n=N):
    """Within five standard errors of a share of n independent samples."""
    return np.all(np.abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n))


@pytest.mark.parametrize(
    ("name", "probability"),
    [
        ("easy", np.full(16, 0.1)),
        ("superposed", np.full(64, 0.02)),
        ("hierarchy", np.repeat([0.2, 0.05, 0.1], [4, 12, 4])),
        ("correlated", np.full(20, 0.1)),
    ],
)
def test_features_are_as_frequent_as_said(drawn, name, probability):
    _, features = drawn[name]
    assert close((features != 0).mean(0), probability)
    present = features[features != 0]
    # Rectified at seven deviations below the mean: a normal magnitude.
    assert present.mean() == pytest.approx(1, abs=5 * 0.15 / np.sqrt(len(present)))
    assert present.std() == pytest.approx(0.15, rel=5 / np.sqrt(2 * len(present)))


@pytest.mark.parametrize("name", ["easy", "hierarchy", "correlated"])
def test_directions_are_orthogonal(drawn, name):
    rows = np.asarray(drawn[name][0].directions, float)
    # A float32 factorisation of at most 20 columns.
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-5)


def test_superposed_directions_are_two_bases(drawn):
    rows = np.asarray(drawn["superposed"][0].directions, float)
    assert rows.shape == (64, 32)
    first, second = rows[:32], rows[32:]
    for basis in (first, second):
        np.testing.assert_allclose(basis @ basis.T, np.eye(32), atol=1e-5)
    cosine = first @ second.T
    np.testing.assert_allclose(np.abs(cosine), 32**-0.5, atol=1e-5)
    for axis in (0, 1):
        positive = (cosine > 0).sum(axis)
        assert positive.min() == 16
        assert positive.max() == 20


def test_children_come_with_their_parent_one_at_a_time(drawn):
    world, features = drawn["hierarchy"]
    parents = np.repeat([-1, 0, 1, 2, 3, -1], [4, 3, 3, 3, 3, 4])
    np.testing.assert_array_equal(world.parents, parents)
    on = features != 0
    for parent in range(4):
        children = on[:, 4 + 3 * parent : 7 + 3 * parent]
        assert not children[~on[:, parent]].any()
        assert children.sum(1).max() == 1
        alone = ~children[on[:, parent]].any(1)
        assert close(alone.mean(), 0.25, len(alone))


def test_groups_come_together(drawn):
    """P(both) of a pair is the orthant probability of two normals, by SciPy."""
    on = drawn["correlated"][1] != 0
    limit = norm.ppf(0.1)
    together = multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).cdf([limit, limit])
    both = (on[:, :, None] & on[:, None, :]).mean(0)
    same = np.kron(np.eye(5), np.ones((4, 4))) - np.eye(20) == 1
    other = np.kron(np.eye(5), np.ones((4, 4))) == 0
    assert close(both[same], together)
    assert close(both[other], 0.01)


def test_they_are_the_same_for_everyone(drawn):
    """Written down once; float32 normal draws and a factorisation differ in last digits."""
    for name, expected in FIRST_ROWS.items():
        first = np.asarray(drawn[name][0].directions[0, :3])
        np.testing.assert_allclose(first, expected, atol=1e-4, err_msg=name)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ValueError, match="is 'hard', expected one of easy, superposed"):
        standard.world("hard")


FIRST_ROWS = {
    "easy": [0.16857, 0.25646, 0.32692],
    "superposed": [0.17778, 0.21967, -0.17830],
    "hierarchy": [-0.35658, -0.15461, 0.15372],
    "correlated": [-0.15895, -0.12951, 0.08922],
}
