"""Sets of features: marginals, who fires with whom, levels, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import SparseFeatures, firing, random, testing
from synthetic.firing.sets import AnticorrelatedSets, CorrelatedSets, Joined

SURPRISE = 1e-6  # a correct sampler fails a test below this for one seed in a million
N = 2**17

sample = jax.jit(lambda law, key, n: law.draw(key, n), static_argnums=2)
drawn = {}


def draw(name):
    """N samples of a law, drawn once."""
    if name not in drawn:
        found = sample(LAWS[name], random.key(len(drawn)), N)
        drawn[name] = np.asarray(found.fires), np.asarray(found.level)
    return drawn[name]


P = np.array([0.3, 0.02, 0.7], np.float32)
LAWS = {
    "correlated": CorrelatedSets(jnp.asarray(P), 3),
    "correlated, many": CorrelatedSets(jnp.tile(jnp.asarray(P), 3), 3),
    "anticorrelated": AnticorrelatedSets.per_set(jnp.asarray(P), 3),
    "anticorrelated, many": AnticorrelatedSets.per_set(jnp.tile(jnp.asarray(P), 3), 3),
    "per feature": AnticorrelatedSets.per_feature(jnp.asarray(P) / 4, 4),
    "joined": Joined(
        (
            CorrelatedSets(jnp.array([0.1]), 2),
            AnticorrelatedSets.per_set(jnp.array([0.4, 0.2]), 3),
            firing.Independent(jnp.array([0.05, 0.6])),
        )
    ),
}


def expected_joint(name):
    """P(i fires and j fires) for every pair of features, from the definition of the law."""
    law = LAWS[name]
    if name == "joined":
        marginal = np.array([0.1, 0.1, *[0.4 / 3] * 3, *[0.2 / 3] * 3, 0.05, 0.6])
        member = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3, 4])
        together = np.array([0.1, 0, 0, 0, 0])
    else:
        n_sets = law.n_features // law.set_size
        member = np.repeat(np.arange(n_sets), law.set_size)
        p = np.tile(P.astype(float), n_sets // 3)
        if name == "per feature":
            marginal, together = np.repeat(p / 4, 4), np.zeros(n_sets)
        elif name.startswith("anti"):
            marginal, together = np.repeat(p / 3, 3), np.zeros(n_sets)
        else:
            marginal, together = np.repeat(p, 3), p
    same = member[:, None] == member
    joint = np.where(same, together[member], np.outer(marginal, marginal))
    np.fill_diagonal(joint, marginal)
    return joint


@pytest.mark.parametrize("name", LAWS)
def test_marginals_and_co_occurrence_lie_within_binomial_bounds(name):
    fires, _ = draw(name)
    expected = expected_joint(name)
    assert fires.shape == (N, LAWS[name].n_features) == (N, len(expected))
    found = fires.T.astype(np.int64) @ fires
    for i, j in itertools.combinations_with_replacement(range(len(expected)), 2):
        p = stats.binomtest(int(found[i, j]), N, expected[i, j]).pvalue
        assert p > SURPRISE, (i, j, found[i, j] / N, expected[i, j])


@pytest.mark.parametrize("name", LAWS)
def test_mean_l0_is_the_sum_of_the_marginals(name):
    marginals = np.diag(expected_joint(name))
    assert float(LAWS[name].mean_l0) == pytest.approx(marginals.sum(), rel=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_levels_of_features_that_fire_are_uniform(name):
    fires, level = draw(name)
    for mask, column in zip(fires.T, level.T, strict=True):
        assert stats.kstest(column[mask], "uniform").pvalue > SURPRISE
        assert 0 < column.min() <= column.max() < 1


@pytest.mark.parametrize("name", ["correlated", "correlated, many", "joined"])
def test_levels_within_and_between_sets_are_independent(name):
    """Mean over pairs that fire together of standardised products: normal, variance 1/n."""
    fires, level = draw(name)
    standard = (level - 0.5) * np.sqrt(12)
    for i, j in itertools.combinations(range(fires.shape[1]), 2):
        both = fires[:, i] & fires[:, j]
        if both.sum() > 100:
            z = np.mean(standard[both, i] * standard[both, j]) * np.sqrt(both.sum())
            assert abs(z) < 6, (i, j)


def test_samples_are_independent():
    for name in LAWS:
        fires, _ = draw(name)
        p = np.diag(expected_joint(name))
        standard = (fires - p) / np.sqrt(p * (1 - p))
        lagged = standard[1:].T @ standard[:-1] / np.sqrt(N)
        assert np.abs(lagged).max() < 6, name


def test_the_two_conventions_differ_by_the_size_of_the_set():
    a = AnticorrelatedSets.per_set(jnp.array([0.5]), 2)
    b = AnticorrelatedSets.per_feature(jnp.array([0.25]), 2)
    np.testing.assert_array_equal(a.probability, b.probability)


@pytest.mark.parametrize("size", range(1, 12))
def test_the_largest_probability_of_a_feature_switches_its_set_always_on(size):
    law = AnticorrelatedSets.per_feature(jnp.array([1 / size]), size)
    assert law.probability[0] == 1


@pytest.mark.parametrize("law", [CorrelatedSets, AnticorrelatedSets])
@pytest.mark.parametrize("size", [1, 3])
def test_probability_zero_never_and_one_always_fires(law, size):
    fires = np.asarray(sample(law(jnp.array([0.0, 1.0]), size), random.key(7), N).fires)
    assert not fires[:, :size].any()
    on = fires[:, size:].sum(1)
    assert (on == (1 if law is AnticorrelatedSets else size)).all()


@pytest.mark.parametrize("law", [CorrelatedSets, AnticorrelatedSets])
@pytest.mark.parametrize(("word", "place"), [(0, 0), (2**32 - 1, 2)])
def test_the_ends_of_the_uniform_draw(monkeypatch, law, word, place):
    """The smallest draw fires the first member, the largest one the last, at p = 1."""
    monkeypatch.setattr(
        jax.random, "bits", lambda key, shape, dtype: jnp.full(shape, word, dtype)
    )
    found = law(jnp.array([1.0]), 3).draw(random.key(0), 1)
    expected = np.ones(3, bool) if law is CorrelatedSets else np.arange(3) == place
    np.testing.assert_array_equal(found.fires[0], expected)
    assert 0 < float(found.level.min()) <= float(found.level.max()) < 1


def test_sets_of_one_are_independent_features():
    p = jnp.array([0.1, 0.9])
    expected = firing.Independent(p).draw(random.key(8), 64)
    for law in (CorrelatedSets(p, 1), AnticorrelatedSets(p, 1)):
        found = law.draw(random.key(8), 64)
        np.testing.assert_array_equal(found.fires, expected.fires)
        np.testing.assert_allclose(found.level, expected.level, rtol=1e-6)


@pytest.mark.parametrize("law", [CorrelatedSets, AnticorrelatedSets])
def test_a_stack_of_laws_draws_as_each_law_does(law):
    stack = law(jnp.array([[0.1, 0.5], [0.9, 0.2]]), 2)
    assert stack.n_features == 4
    draws = jax.vmap(lambda law: sample(law, random.key(2), 64))(stack)
    for i in range(2):
        single = sample(law(stack.probability[i], 2), random.key(2), 64)
        np.testing.assert_array_equal(draws.fires[i], single.fires)


@pytest.mark.parametrize("name", ["correlated", "per feature", "joined"])
def test_a_sparse_world_of_sets_keeps_the_contract(name):
    testing.check(SparseFeatures.of_features(LAWS[name]), random.key(9), batch_size=32)


def test_do_forces_one_feature_and_leaves_its_set_alone():
    world = SparseFeatures.of_features(AnticorrelatedSets(jnp.array([0.9]), 2))
    before = world.sample(random.key(10), 100).features
    after = world.do(random.key(10), 100, 0, 1.0).features
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    assert np.asarray((after > 0).all(1)).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CorrelatedSets(jnp.array([1.5]), 2),
            r"probability holds 1.5, .* \[0, 1\]",
        ),
        (lambda: CorrelatedSets(jnp.array([0.5]), 0), r"set_size is 0, .* counts the memb"),
        (lambda: AnticorrelatedSets(jnp.array([-0.5]), 2), r"probability holds -0.5, exp"),
        (
            lambda: AnticorrelatedSets.per_feature(jnp.array([0.6]), 2),
            r"probability is 0.6, expected .* \[0, 0.5\]; 2 features that never fire tog",
        ),
        (
            lambda: AnticorrelatedSets.per_feature(jnp.array([0.6]), 0),
            r"set_size is 0, expected",
        ),
        (lambda: Joined(()), r"number of laws is 0, expected .*; give at least one"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
