"""Forests, their closed-form marginals and compensation, and two samplers of one law."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, random
from synthetic.firing import correlation
from synthetic.hierarchy import Gated, Inherited, compensation
from synthetic.hierarchy.forest import Forest
from synthetic.hierarchy.topdown import TopDown
from synthetic.magnitude import Constant, Uniform
from synthetic.testing import check

BATCH = 2**15
# Two trees of different shape, one feature apart; 0 excludes, 1 and 2 do not.
PARENTS = np.array([-1, -1, 0, 0, 0, 1, 2, 2, -1])
FOREST = Forest.of(PARENTS, np.arange(9) == 0)
BASE = np.array([0.6, 0.5, 0.5, 0.4, 0.2, 0.7, 0.5, 0.3, 0.25])


def closed_form(b):
    """The marginals of FOREST, by summing over what the three siblings do."""
    kept = np.zeros(3)
    for on in itertools.product([0, 1], repeat=3):
        on = np.array(on)
        mass = np.where(on, b[2:5], 1 - b[2:5]).prod()
        kept += mass * on / max(on.sum(), 1)
    siblings = b[0] * kept
    pair = siblings[0] * b[6:8]
    return np.array([b[0], b[1], *siblings, b[1] * b[5], *pair, b[8]])


LAW = firing.Independent(jnp.asarray(BASE, jnp.float32))
DEPENDENT = correlation.LowRank(LAW.probability, jnp.full((9, 1), 0.6))
SAMPLERS = {"gated": Gated(LAW, FOREST), "top down": TopDown(LAW, FOREST, (1, 2, 4, 2))}
draw = jax.jit(lambda law, key: law.draw(key, BATCH))


def test_a_forest_knows_its_groups():
    assert FOREST.depth == 2
    np.testing.assert_array_equal(FOREST.level(), [0, 0, 1, 1, 1, 1, 2, 2, 0])
    np.testing.assert_array_equal(FOREST.roots, [0, 1])
    np.testing.assert_array_equal(FOREST.singles, [8])
    np.testing.assert_array_equal(FOREST.head, [0, 1, 2])
    np.testing.assert_array_equal(FOREST.family, [[2, 3, 4], [5, -1, -1], [6, 7, -1]])
    np.testing.assert_array_equal(FOREST.exclusive, [True, False, False])
    flat = np.asarray(FOREST.family).ravel()
    children = np.flatnonzero(PARENTS >= 0)
    np.testing.assert_array_equal(flat[np.asarray(FOREST.place)[children]], children)


def test_the_published_forest_has_the_published_size():
    forest = Forest.regular(16_384, roots=128, branching=4, depth=3)
    parents = np.asarray(forest.parents)
    level = forest.level()
    inside = (parents >= 0) | (np.asarray(forest.group) >= 0)
    np.testing.assert_array_equal(np.bincount(level[inside]), [128, 512, 2048, 8192])
    assert len(forest.head) == 2688
    assert (len(forest.roots), len(forest.singles)) == (128, 5504)
    assert (np.bincount(parents[parents >= 0])[:2688] == 4).all()


def test_marginals_have_their_closed_form():
    np.testing.assert_allclose(
        compensation.marginals(BASE, FOREST), closed_form(BASE), rtol=1e-12
    )
    both = compensation.marginals(np.stack([BASE, BASE / 2]), FOREST)
    np.testing.assert_allclose(both[1], closed_form(BASE / 2), rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_features_fire_as_often_as_the_closed_form_says(name):
    law = SAMPLERS[name]
    fires, level = map(np.asarray, draw(law, random.key(100)))
    expected = closed_form(BASE)
    z = (fires.mean(0) - expected) / np.sqrt(expected * (1 - expected) / BATCH)
    assert np.abs(z).max() < 5
    child = PARENTS >= 0
    assert not (fires[:, child] & ~fires[:, PARENTS[child]]).any()
    assert fires[:, 2:5].sum(1).max() == 1
    assert (fires[:, 6] & fires[:, 7]).any()
    np.testing.assert_array_equal(law.parents, PARENTS)
    mine = level[fires]
    assert abs(mine.mean() - 0.5) < 5 / np.sqrt(12 * len(mine))
    assert abs(mine.var() - 1 / 12) < 5 / np.sqrt(180 * len(mine))


@pytest.mark.slow
def test_both_samplers_have_the_same_joint_law_under_a_copula():
    laws = Gated(DEPENDENT, FOREST), TopDown(DEPENDENT, FOREST, (1, 2, 4, 2))
    first, second = (
        np.asarray(draw(law, random.key(101)).fires).astype(np.float64) for law in laws
    )
    a, b = first.T @ first / BATCH, second.T @ second / BATCH
    error = np.sqrt((a * (1 - a) + b * (1 - b)) / BATCH) + 1e-9
    assert np.abs((a - b) / error).max() < 5
    # Positive correlation makes whole branches more frequent than independence does.
    assert a[6, 6] > 1.2 * closed_form(BASE)[6]


def test_exact_compensation_reaches_the_wanted_marginals():
    wanted = np.array([0.5, 0.4, 0.3, 0.1, 0.05, 0.4, 0.29, 0.01, 0.25])
    b = compensation.exact(wanted, FOREST)
    np.testing.assert_allclose(closed_form(b), wanted, atol=1e-6)
    law = Gated(firing.Independent(jnp.asarray(b, jnp.float32)), FOREST)
    rate = np.asarray(draw(law, random.key(102)).fires).mean(0)
    assert (np.abs(rate - wanted) < 5 * np.sqrt(wanted / BATCH)).all()


def test_exact_compensation_may_fill_a_parent_up():
    wanted = np.array([0.5, 0.4, 0.3, 0.15, 0.05, 0.4, 0.3, 0.3, 0.0])
    b = compensation.exact(wanted, FOREST)
    np.testing.assert_allclose(closed_form(b), wanted, atol=1e-5)


def test_published_compensation_is_the_published_formula():
    wanted = np.array([0.5, 0.4, 0.2, 0.1, 0.05, 0.3, 0.1, 0.05, 0.25])
    b = compensation.as_published(wanted, FOREST)
    share = np.array([0.4, 0.2, 0.1])
    expected = [0.5, 0.4, *(share * (1.7 - share)), 0.75, 0.5, 0.25, 0.25]
    np.testing.assert_allclose(b, expected, rtol=1e-12)
    # It is approximate, and a share above 1 is cut.
    assert 0.001 < abs(closed_form(b)[2] - 0.2) < 0.01
    assert compensation.as_published(wanted * [1, 1, 3, 3, 1, 1, 1, 1, 1], FOREST)[2] == 1


def test_a_forest_of_roots_changes_nothing():
    forest = Forest.of([-1, -1, -1])
    p = np.array([0.1, 0.2, 0.9])
    np.testing.assert_array_equal(compensation.exact(p, forest), p)
    law = firing.Independent(jnp.asarray(p))
    drawn = jax.jit(lambda law, k: law.draw(k, 64))
    first = drawn(TopDown(law, forest, (3, 0)), random.key(103)).fires
    second = drawn(Gated(law, forest), random.key(103)).fires
    assert first.shape == second.shape == (64, 3)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_children_grow_with_their_parents_down_the_tree(name, scaled):
    mean = jnp.linspace(2.0, 1.0, 9)
    law = Inherited(Constant(3.0 * mean), FOREST, mean if scaled else None)
    world = SparseFeatures(jnp.eye(9), SAMPLERS[name], law)
    features = np.asarray(
        jax.jit(world.sample, static_argnums=1)(random.key(104), 256).features
    )
    height = FOREST.level() if scaled else np.zeros(9)
    expected = np.where(features != 0, 3 * np.asarray(mean) * 3.0**height, 0)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert (features[:, 6] != 0).any()
    np.testing.assert_array_equal(world.parents, PARENTS)


def test_children_of_a_parent_without_magnitude_are_silent():
    law = Inherited(Uniform(0.0, jnp.where(jnp.arange(9) == 0, 0.0, 1.0)), FOREST)
    world = SparseFeatures(jnp.eye(9), SAMPLERS["gated"], law)
    features = np.asarray(jax.jit(lambda k: world.sample(k, 256))(random.key(105)).features)
    assert not features[:, [0, 2, 3, 4, 6, 7]].any()
    assert features[:, 5].any()


def test_top_down_finds_its_slots_and_marks_what_overflows():
    law = TopDown.of(LAW, FOREST)
    assert law.slots == (1, 2, 4, 2)
    narrow = SparseFeatures(jnp.eye(9), TopDown(LAW, FOREST, (1, 1, 4, 2)))
    x, pairs = jax.jit(narrow.sample_pairs, static_argnums=1)(random.key(106), 200)
    lost = np.isnan(np.asarray(pairs.value)).any(1)
    several = 0.6 * 0.5
    assert abs(lost.mean() - several) < 5 * np.sqrt(several * (1 - several) / 200)
    np.testing.assert_array_equal(np.isnan(np.asarray(x)).all(1), lost)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law", [*SAMPLERS.values(), TopDown(DEPENDENT, FOREST, (1, 2, 4, 2))]
)
def test_a_hierarchical_world_keeps_the_contract(law):
    rows = directions.random(random.key(107), 9, 5)
    magnitude = Inherited(Uniform(0.5, 1.5), FOREST, jnp.linspace(2.0, 1.0, 9))
    check(SparseFeatures(rows, law, magnitude, 0.1, 0.2), random.key(108), batch_size=24)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: Forest.of([1, 2, 0, -1]),
            r"feature \d is its own ancestor \(its parent is \d\), expected a forest",
        ),
        (lambda: Forest.of([0]), r"feature 0 is its own ancestor"),
        (lambda: Forest.of([-1, 0, 1, 4, 3]), r"feature [34] is its own ancestor"),
        (
            lambda: Forest.of([-1, 2]),
            r"a parent is 2, expected a number in \[-1, 1\]; write",
        ),
        (
            lambda: Forest.of([-1, 0.0]),
            r"shape \(2,\) and dtype float64, expected one integer",
        ),
        (
            lambda: Forest.regular(20, 2, 4, 2),
            r"n_features is 20, expected a number in \[42, inf\]; plant fewer or lower",
        ),
        (
            lambda: compensation.exact(BASE[:8], FOREST),
            r"number of probabilities is 8, expected 9",
        ),
        (
            lambda: compensation.exact(np.where(np.arange(9) == 5, 0.6, 0.1), FOREST),
            r"feature 5 is to fire with probability 0.6 and its parent 1 with "
            r"0.1, expected a child no more frequent than its parent; lower",
        ),
        (
            lambda: compensation.exact([0.5, 0.5, 0.2, 0.2, 0.2, 0, 0, 0, 0], FOREST),
            r"children of feature 0 exclude each other and .* 0.6 together, expected at "
            r"most their parent's 0.5; lower them",
        ),
        (
            lambda: Gated(firing.Independent(jnp.full(8, 0.1)), FOREST),
            r"number of parents is 9, expected 8; give one parent",
        ),
        (
            lambda: TopDown(LAW, FOREST, (3, 4)),
            r"slots is \(3, 4\), expected 4 numbers: for the features outside",
        ),
        (
            lambda: Inherited(Constant(), FOREST, jnp.zeros(9)),
            r"scale_by is 0, expected .* it divides the parent",
        ),
    ],
)
def test_errors_say_what_came_and_what_was_expected(use, message):
    with pytest.raises(ValueError, match=message):
        use()
