"""A parent and its children: the joint law, levels, both special cases, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import SparseFeatures, random, testing
from synthetic.firing import Independent
from synthetic.firing.family import Family
from synthetic.hierarchy import Gated
from synthetic.hierarchy.forest import Forest

N = 2**17
SURPRISE = 1e-6  # a correct sampler fails a test below this for one seed in a million
LAW = Family(jnp.float32(0.25), jnp.array([0.2, 0.7]), jnp.array([0.0, 0.4]))

sample = jax.jit(lambda law, key: law.draw(key, N))


@pytest.fixture(scope="module")
def drawn():
    found = sample(LAW, random.key(0))
    return np.asarray(found.fires), np.asarray(found.level)


def require_rate(hits, p):
    """A count of independent hits, each with probability p, is not too surprising."""
    assert stats.binomtest(int(hits.sum()), len(hits), p).pvalue > SURPRISE


def test_the_joint_law(drawn):
    parent, first, second = drawn[0].T
    require_rate(parent, 0.25)
    for child, given, otherwise in ((first, 0.2, 0.0), (second, 0.7, 0.4)):
        require_rate(child[parent], given)
        require_rate(child[~parent], otherwise)
    # Given the parent, children are independent.
    require_rate(first[parent] & second[parent], 0.2 * 0.7)


def test_levels_are_uniform_where_a_feature_fires(drawn):
    fires, level = drawn
    for j in range(3):
        found = level[fires[:, j], j][:4096]
        assert stats.kstest(found, "uniform").pvalue > SURPRISE


def test_marginals_and_mean():
    # 0.25 * 0.2; 0.25 * 0.7 + 0.75 * 0.4
    np.testing.assert_allclose(LAW.probability, [0.25, 0.05, 0.475], rtol=1e-6)
    assert float(LAW.mean_l0) == pytest.approx(0.775)


def test_a_hierarchy_has_the_joint_law_of_gated_features():
    family = Family(jnp.float32(0.3), jnp.array([0.5]), jnp.array([0.0]))
    gated = Gated(Independent(jnp.array([0.3, 0.5])), Forest.of([-1, 0]))
    for law in (family, gated):
        fires = np.asarray(sample(law, random.key(1)).fires)
        for on, p in (((0, 0), 0.7), ((1, 0), 0.15), ((0, 1), 0.0), ((1, 1), 0.15)):
            require_rate((fires == on).all(axis=1), p)


def test_conformance_of_its_world():
    rows = jnp.eye(3, 4)
    testing.check(SparseFeatures(rows, LAW), random.key(2))


def test_refuses_what_is_no_chance_or_does_not_fit():
    with pytest.raises(ValueError, match=r"given holds 1.5, expected probabilities"):
        Family(0.5, jnp.array([1.5]), jnp.array([0.0]))
    with pytest.raises(ValueError, match="entries of otherwise is 1, expected 2; give"):
        Family(0.5, jnp.array([0.5, 0.5]), jnp.array([0.0]))
