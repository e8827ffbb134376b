"""Which features fire: rates, independence, levels, and the published probabilities."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import SparseFeatures, firing, random

SURPRISE = 1e-6  # a correct sampler fails a test below this for one seed in a million

sample = jax.jit(lambda law, key, n: law.draw(key, n), static_argnums=2)


@pytest.fixture(scope="module")
def rare():
    """2**21 samples of features that never, rarely and always fire."""
    probability = jnp.array([0.0, 5e-4, 1.0])
    law = firing.Independent(probability)
    draw = sample(law, random.key(0), 2**21)
    return np.asarray(draw.fires), np.asarray(draw.level)


@pytest.fixture(scope="module")
def common():
    law = firing.Independent(jnp.array([0.01, 0.3, 0.5, 0.97]))
    draw = sample(law, random.key(1), 2**16)
    return law, np.asarray(draw.fires), np.asarray(draw.level)


def test_probability_zero_never_and_one_always_fires(rare):
    fires, _ = rare
    assert not fires[:, 0].any()
    assert fires[:, 2].all()


def test_rates_lie_within_a_binomial_bound(rare, common):
    fires = rare[0][:, 1]
    assert stats.binomtest(int(fires.sum()), len(fires), 5e-4).pvalue > SURPRISE
    law, fires, _ = common
    for column, p in zip(fires.T, np.asarray(law.probability, float), strict=True):
        assert stats.binomtest(int(column.sum()), len(column), p).pvalue > SURPRISE


def test_features_and_samples_fire_independently(common):
    law, fires, _ = common
    p = np.asarray(law.probability, float)
    standard = (fires - p) / np.sqrt(p * (1 - p))
    n = len(standard)
    z = standard.T @ standard / np.sqrt(n)
    lagged = standard[1:].T @ standard[:-1] / np.sqrt(n)
    # 22 approximately normal numbers; beyond 6 with probability 22 * 2e-9.
    assert np.abs(np.triu(z, 1)).max() < 6
    assert np.abs(lagged).max() < 6


def test_levels_of_firing_features_are_uniform(rare, common):
    for fires, level in (rare, common[1:]):
        for mask, column in zip(fires.T, level.T, strict=True):
            if mask.any():
                assert stats.kstest(column[mask], "uniform").pvalue > SURPRISE


def test_levels_stay_fine_at_small_probabilities(rare):
    """About 1,050 levels of 2**31 p = 10**6 possible ones: a collision or two.

    With 23 random bits there would be 4,194 possible ones, and over 100 collisions.
    """
    fires, level = rare
    fine = level[:, 1][fires[:, 1]]
    assert len(fine) > 800
    assert len(fine) - len(np.unique(fine)) < 20


def test_levels_lie_strictly_between_zero_and_one(rare):
    _, level = rare
    assert 0 < level.min() < level.max() < 1


@pytest.mark.parametrize(("word", "expected"), [(0, 2.0**-32), (2**32 - 1, 1 - 2.0**-24)])
def test_uniform_never_reaches_its_ends(monkeypatch, word, expected):
    words = lambda key, shape, dtype: jnp.full(shape, word, dtype)  # noqa: E731
    monkeypatch.setattr(jax.random, "bits", words)
    assert float(firing.uniform(random.key(0), (1,))[0]) == expected


def test_double_precision_draws_the_same():
    single = firing.uniform(random.key(1), (1000,))
    with jax.enable_x64(True):
        double = firing.uniform(random.key(1), (1000,))
    np.testing.assert_array_equal(single, double)


def test_zipf_of_synthsaebench():
    """The probabilities of SynthSAEBench-16k, by rank, as printed by its own code."""
    p = np.asarray(firing.zipf(16_384, 0.5, 0.4, 5e-4), np.float64)
    published = {1: 0.4, 128: 0.0329, 640: 0.0133, 2688: 0.0051, 4096: 0.00365}
    published |= {10880: 0.00121, 16384: 5e-4}
    for rank, value in published.items():
        # Half a unit in the last digit printed: 3 digits, 2 for rank 2688.
        assert p[rank - 1] == pytest.approx(value, rel=0.01 if rank == 2688 else 0.005)
    assert p.sum() == pytest.approx(59.14, abs=0.005)
    assert p[:4096].sum() == pytest.approx(40.12, abs=0.005)
    assert p[0] == np.float32(0.4)
    assert p[-1] == np.float32(5e-4)
    assert (np.diff(p) < 0).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0])
def test_zipf_is_an_affine_power_law(exponent):
    """(p_i - last) / (p_j - last) = (i^-a - n^-a) / (j^-a - n^-a)."""
    n, last = 100, 0.01
    p = np.asarray(firing.zipf(n, exponent, 0.3, last), np.float64) - last
    power = np.arange(1, n + 1.0) ** -exponent - float(n) ** -exponent
    # Absolute float32 rounding of numbers below 1.
    np.testing.assert_allclose(p / p[0], power / power[0], atol=1e-6)


@pytest.mark.parametrize("n", [2, 10, 1000, 1024, 16_384])
@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_zipf_stays_a_probability_at_the_extremes(n, exponent):
    """Rounding must not push the ends 1 and 0 outside [0, 1], where a law refuses them."""
    p = firing.Independent(firing.zipf(n, exponent, 1.0, 0.0)).probability
    assert p[0] == pytest.approx(1, abs=1e-6)
    assert p[-1] == pytest.approx(0, abs=1e-6)


def test_constant_and_linear():
    np.testing.assert_array_equal(firing.constant(3, 0.25), [0.25, 0.25, 0.25])
    np.testing.assert_allclose(firing.linear(3, 0.5, 0.1), [0.5, 0.3, 0.1], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: firing.constant(3, 5.0), r"probability holds 5, .* \[0, 1\]; .* units"),
        (lambda: firing.linear(3, 1.5, 0.1), r"first holds 1.5, expected"),
        (lambda: firing.linear(3, 0.5, -0.1), r"last holds -0.1, expected"),
        (lambda: firing.zipf(3, 0.5, 1.5, 0.1), r"first holds 1.5, expected"),
        (lambda: firing.zipf(3, 0.5, 0.5, -0.1), r"last holds -0.1, expected"),
        (lambda: firing.zipf(3, 0.0, 0.5, 0.1), r"exponent is 0, expected .* `linear`"),
        (lambda: firing.zipf(1, 0.5, 0.5, 0.1), r"n_features is 1, .* `constant`"),
        (lambda: firing.Independent(jnp.array([0.1, 1.2])), r"probability holds 1.2, exp"),
        (lambda: firing.Independent(jnp.array([-0.1])), r"probability holds -0.1, expect"),
        (lambda: firing.Independent(jnp.array([np.nan])), r"probability holds nan, expec"),
        (lambda: firing.ExactlyK(3, 4), r"k is 4, expected .* \[0, 3\]; k counts"),
        (lambda: firing.ExactlyK(3, -1), r"k is -1, expected"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("probability", "came"), [(0.04, "one number"), ([0.1, 0.2], "no array")]
)
def test_a_law_of_what_is_no_array_says_what_to_write(probability, came):
    law = firing.Independent(probability)
    message = rf"^probability is {came} \(.*\), expected an array \[feature\]; write firing"
    with pytest.raises(ValueError, match=message):
        law.draw(random.key(0), 4)
    with pytest.raises(ValueError, match=message):
        _ = law.mean_l0
    with pytest.raises(ValueError, match=message):
        SparseFeatures.of_features(law)


def test_mean_l0_is_the_sum_of_the_probabilities():
    law = firing.Independent(jnp.array([[0.5, 0.25, 0.0], [1.0, 1.0, 0.5]]))
    assert law.n_features == 3
    np.testing.assert_array_equal(law.mean_l0, [0.75, 2.5])
    assert firing.ExactlyK(5, 2).mean_l0 == 2


def test_a_stack_of_laws_draws_as_each_law_does():
    stack = firing.Independent(jnp.array([[0.1, 0.5], [0.9, 0.2]]))
    draws = jax.vmap(lambda law: sample(law, random.key(2), 64))(stack)
    for i in range(2):
        single = sample(firing.Independent(stack.probability[i]), random.key(2), 64)
        np.testing.assert_array_equal(draws.fires[i], single.fires)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (4, 0), (3, 3)])
def test_exactly_k_fires_each_subset_equally_often(n, k):
    law = firing.ExactlyK(n, k)
    draw = sample(law, random.key(3), 2**14)
    fires = np.asarray(draw.fires)
    assert (fires.sum(1) == k).all()
    subsets = np.unique(fires @ 2 ** np.arange(n), return_counts=True)[1]
    assert len(subsets) == math.comb(n, k)
    if len(subsets) > 1:
        assert SURPRISE < stats.chisquare(subsets).pvalue < 1 - SURPRISE
    if k:
        level = np.asarray(draw.level)[fires]
        assert stats.kstest(level, "uniform").pvalue > SURPRISE


def test_exactly_k_draws_distinct_indices_of_a_million():
    index = np.asarray(firing.ExactlyK(10**6, 20).draw_index(random.key(4), 1000))
    assert index.shape == (1000, 20)
    assert 0 <= index.min() < index.max() < 10**6
    assert (np.diff(np.sort(index, axis=1)) > 0).all()
    assert stats.kstest(index.ravel() / 1e6, "uniform").pvalue > SURPRISE
