"""Transfer of dictionaries: rows of the right law, scores by hand, checks that notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import transfer
from experiments.maze.transfer import LAWS, Settings
from synthetic import Stored, random
from toymodels import pretrained
from toymodels.maze import listing, presets
from toymodels.maze.listing import Listed


def listed(key, level):
    """Forty mazes of two slots, three sites and two places; x is around `level`."""
    key_x, key_connection = jax.random.split(random.key(key))
    x = level + jax.random.normal(key_x, (2, 3, 40, 2, 4))
    which = jax.random.randint(key_connection, (40, 2, 1), 0, 3)
    return Listed(x, which == jnp.arange(3))


def test_tests_follow_each_other_and_are_scaled_as_the_training_mazes():
    train, tests = listed(1, 5.0), [listed(2, 5.0), listed(3, 7.0)]
    pairs = transfer.joined(train, tests)
    assert len(pairs) == 2  # two places, one layer
    by = listing.scaling(train)
    site = 2  # after the MLP of the first layer
    for place, (own, others) in enumerate(pairs):
        expected = listing.scaled(train, by).rows(place, site)
        np.testing.assert_allclose(own.x, expected.x, rtol=1e-6)
        second = listing.scaled(tests[1], by).rows(place, site)
        np.testing.assert_allclose(others.x[80:], second.x, rtol=1e-6)
        np.testing.assert_array_equal(others.features[80:], second.features)
        # Around 7, seen from rows around 5 of deviation 1.
        assert float(others.x[80:].mean()) == pytest.approx(2, abs=0.25)


def rows(key, n):
    which = jax.random.randint(random.key(key), (n,), 0, 3)
    connection = which[:, None] == jnp.arange(2)
    return Stored(jnp.pad(connection, ((0, 0), (0, 2))).astype(float), connection)


def test_each_law_has_its_own_score():
    """Codes that are the connections in three laws and silent in the last."""
    train, test = rows(4, 400), rows(5, 4 * 100)
    here = (jnp.arange(400) < 300)[:, None]
    codes = [(train.features.astype(float), (test.features & here).astype(float))]
    found = transfer.scored(random.key(6), [(train, test)], codes, Settings(ks=(1.0,)))
    np.testing.assert_array_equal([f1[0] for f1 in found["f1"]], [1, 1, 1, 0])
    assert found["probe"] == [1, 1, 1, 1]
    assert found["corrected"][3][0] < 0 < found["corrected"][0][0]


def checked(trained, before):
    spread = np.array([0.0, -0.01, 0.01])
    arrays = {
        f"{name}/f1": np.asarray(f1)[..., None] + spread
        for name, f1 in zip(transfer.MODELS, (trained, before), strict=True)
    }
    return [check.passed for check in transfer.make_checks(arrays)]


def test_checks_ask_for_home_and_for_every_transfer():
    good, bad = np.full((4, 4), 0.9), np.full((4, 4), 0.4)
    assert checked(good, bad) == [True, True]
    assert checked(0.9 * good, bad) == [False, True]
    lost = good.copy()
    lost[2, 1] = 0.41
    assert checked(lost, bad) == [True, False]


@pytest.mark.slow
def test_a_whole_record(monkeypatch, tmp_path):
    preset = presets.tiny()
    found = pretrained.Pretrained(preset, preset.init(random.key(7)), {})
    monkeypatch.setattr(pretrained, "load", lambda name: found)
    settings = Settings(n_latents=16, ks=(1.0,), steps=2, n_mazes=40)
    result = transfer.run(settings, 8, Job(tmp_path, "test"))
    n = len(LAWS)
    assert result.arrays["trained/f1"].shape == (n, n, 3)
    assert result.arrays["before training/probe"].shape == (n, n)
    assert len(result.table) == 1 + 2 * (1 + 2 * n)
