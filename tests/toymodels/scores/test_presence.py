"""Scores of worlds without directions, where the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Stored, random
from toymodels import score
from toymodels.scores import presence

N = 4_096
KEY = random.key(0)
# Four properties of frequency 1/2, 1/4, 1/8 and 1/16, independent.
TRUE = jax.random.uniform(random.key(1), (N, 4)) < 2.0 ** -jnp.arange(1, 5)
WORLD = Stored.of_arrays(np.asarray(TRUE, np.float32) @ np.eye(4, 6), np.asarray(TRUE))


def test_a_latent_for_each_property_reaches_every_ceiling():
    found = score((lambda x: x, lambda z: z), WORLD, KEY, 2_048)
    for name in ("f1", "f1_corrected", "f1_published", "auroc", "state_f1", "probe_f1"):
        assert found[name] == pytest.approx(1, abs=1e-6), name
    assert found["explained_variance"] == pytest.approx(1, abs=1e-6)
    # Binomial: 2,048 rows of four properties; five deviations of the mean L0.
    expected = 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16
    assert abs(found["l0"] - expected) < 5 * (0.61 / 2048) ** 0.5
    assert found.ceiling["f1"] == pytest.approx(1, abs=1e-6)
    assert found.floor["f1"] < 0.95


def test_a_latent_that_is_always_on_has_nothing_left_above_chance():
    """Its F1 is 2p / (1 + p) for each property, and 0 corrected."""
    pair = (lambda x: jnp.ones((len(x), 1)), lambda z: jnp.zeros((len(z), 6)))
    found = score(pair, WORLD, KEY, 2_048)
    p = 2.0 ** -np.arange(1, 5)
    assert found["f1"] == pytest.approx((2 * p / (1 + p)).mean(), abs=0.02)
    assert found["f1_corrected"] == pytest.approx(0, abs=1e-6)
    assert found["auroc"] == 0.5
    assert found.controls["always on"]["f1"] == pytest.approx(found["f1"])


def test_a_latent_that_is_on_where_a_property_is_absent_tells_it_by_its_absence():
    true = np.asarray(TRUE[:, :1])
    z = jnp.asarray(1.0 - true)
    found = presence.of_codes(KEY, (z, z), (jnp.asarray(true), jnp.asarray(true)))
    assert found["auroc"] == 1
    assert found["f1"].value < 0.7


def test_random_latents_are_on_as_often_as_asked():
    x = jax.random.normal(random.key(2), (N, 8))
    rates = np.array([0.01, 0.1, 0.5])
    train, test = presence.matched_random(random.key(3), (x, x[: N // 2]), rates)
    np.testing.assert_allclose((train > 0).mean(0), rates, atol=1 / N)
    assert test.shape == (N // 2, 3)
    assert float(train.min()) == 0


def test_explained_variance_by_hand():
    x = jnp.array([[0.0, 0.0], [2.0, 0.0]])
    assert presence.explained_variance(x, x) == 1
    assert presence.explained_variance(x, jnp.ones((2, 2)) * jnp.array([1.0, 0.0])) == 0


def test_other_dictionaries_stand_among_the_controls():
    pair = (lambda x: x, lambda z: z)
    found = score(pair, WORLD, KEY, 1_024, others={"its double": pair})
    assert found.controls["its double"]["f1"] == pytest.approx(found["f1"])
    assert "its double" in str(found)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="n_samples is 8, expected a number in"):
        score((lambda x: x, lambda z: z), WORLD, KEY, 8)
