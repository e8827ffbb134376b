"""Small worlds have the stated frequencies and correlations."""

import jax
import numpy as np
import pytest

from synthetic import random
from synthetic.worlds import phenomena

N = 1 << 14
draw = jax.jit(lambda world, key: world.sample(key, N).features)


@pytest.fixture(scope="module")
def five():
    """[correlation, sample, feature]"""
    worlds = {c: phenomena.five_correlated(c) for c in (-0.4, 0.0, 0.4)}
    return {c: np.asarray(draw(w, random.key(100))) for c, w in worlds.items()}


def test_five_features_are_present_as_often_as_stated(five):
    for features in five.values():
        # Five standard errors of a share of 0.4.
        np.testing.assert_allclose((features > 0).mean(0), 0.4, atol=5 * (0.24 / N) ** 0.5)
        sizes = features[features > 0]
        assert sizes.mean() == pytest.approx(1, abs=0.005)
        assert sizes.std() == pytest.approx(0.15, abs=0.005)


@pytest.mark.parametrize(("c", "expected"), [(-0.4, -0.2514), (0.0, 0.0), (0.4, 0.2586)])
def test_the_first_feature_is_correlated_with_the_others_alone(five, c, expected):
    """phi of two standard normals above Phi^-1(0.6), by a double integral."""
    found = np.corrcoef((five[c] > 0).T)
    np.testing.assert_allclose(found[0, 1:], expected, atol=0.04)
    others = found[1:, 1:][~np.eye(4, dtype=bool)]
    np.testing.assert_allclose(others, 0, atol=0.04)


def test_fifty_features_are_eleven_at_a_time_and_correlated_as_stated():
    world = phenomena.fifty_correlated()
    features = np.asarray(draw(world, random.key(101)))
    count = (features > 0).sum(1)
    # 0.345 (50 - i) / 50 + 0.05 over i = 1..50 sums to 10.95.
    assert abs(count.mean() - 10.95) < 5 * count.std() / N**0.5
    root = np.asarray(world.firing.root, float)
    size = np.abs((root @ root.T)[~np.eye(50, dtype=bool)])
    assert size.mean() == pytest.approx(0.13, abs=0.02)
    assert size.max() == pytest.approx(0.41, abs=0.06)
    rows = np.asarray(world.directions, float)
    np.testing.assert_allclose(rows @ rows.T, np.eye(50), atol=1e-5)


def test_the_tree_has_its_frequencies_and_its_children_exclude_each_other():
    world = phenomena.tree_of_twenty()
    present = np.asarray(draw(world, random.key(102))) > 0
    expected = np.repeat([0.15, 0.03, 0.05], [3, 9, 8])
    error = np.sqrt(expected * (1 - expected) / N)
    assert (np.abs(present.mean(0) - expected) < 5 * error).all()
    families = present[:, 3:12].reshape(N, 3, 3)
    assert families.sum(-1).max() == 1
    assert not (families.any(-1) & ~present[:, :3]).any()
    np.testing.assert_array_equal(np.asarray(world.parents)[3:12], np.repeat([0, 1, 2], 3))
