"""Whole mazes at one token: rows, scores by hand, checks that notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import path_start
from experiments.maze.dictionaries import Settings
from experiments.maze.path_start import MODELS
from synthetic import Stored, random
from toymodels import pretrained
from toymodels.maze import presets
from toymodels.maze.residual import MazeResidual

N = 640


def mazes(key):
    """Three connections, open in two mazes of three, and written along three axes."""
    open_ = jax.random.bernoulli(random.key(key), 2 / 3, (N, 3))
    return Stored(jnp.pad(open_, ((0, 0), (0, 2))).astype(float), open_)


def test_connections_that_are_latents_score_1_and_a_latent_always_on_scores_0():
    train, test = mazes(1), mazes(2)
    right = [part.features.astype(float) for part in (train, test)]
    constant = [jnp.ones((N, 3))] * 2
    # A latent on where the first two are both open: 4/9 of all rows.
    both = [part[:, :1] * part[:, 1:2] for part in right]
    codes = [tuple(right), tuple(constant), tuple(both)]
    found = path_start.scored(random.key(3), [(train, test)], codes)["open"]
    assert found["best"] == 0
    assert found["rows"][0]["corrected"] == (1, 1, 1)
    assert found["rows"][0]["latents"] == 3
    assert found["rows"][1]["corrected"] == pytest.approx((0, 0, 0), abs=1e-9)
    # F1 of the first two: 2 (4/9) / (4/9 + 2/3) = 0.8; of the third, 2 (8/27) / (10/9).
    expected = (2 * 0.8 + 16 / 30) / 3
    assert found["rows"][2]["f1"][0] == pytest.approx(expected, abs=0.04)
    assert found["probes"][0]["corrected"] == (1, 1, 1)


def test_walls_that_are_latents_score_1_as_walls():
    train, test = mazes(1), mazes(2)
    walls = tuple((~part.features).astype(float) for part in (train, test))
    found = path_start.scored(random.key(3), [(train, test)], [walls])
    assert found["wall"]["rows"][0]["corrected"] == (1, 1, 1)
    assert found["wall"]["probes"][0]["corrected"] == (1, 1, 1)
    assert found["open"]["rows"][0]["corrected"][2] < 0


def test_a_probe_of_noise_scores_as_a_latent_that_is_always_on():
    """Without a word on the maze its answers are the base rate, also for walls."""
    noise = tuple(
        Stored(jax.random.normal(random.key(k), (N, 5)), mazes(k + 2).features)
        for k in (4, 5)
    )
    codes = tuple(jnp.ones((N, 1)) for _ in noise)
    found = path_start.scored(random.key(8), [noise], [codes])
    for kind in path_start.KINDS:
        corrected = found[kind]["probes"][0]["corrected"][0]
        assert corrected == pytest.approx(0, abs=0.03)


@pytest.mark.slow
def test_rows_are_scaled_as_the_training_mazes():
    preset = presets.tiny()
    model = preset.init(random.key(9))
    games = preset.game, presets.held_out(preset.game)
    pairs = path_start.read(random.key(10), model, games, 64)
    assert len(pairs) == 2 * model.n_layers
    train, test = pairs[-1]
    np.testing.assert_allclose(train.x.mean(0), 0, atol=1e-5)
    assert float(jnp.square(train.x).mean()) == pytest.approx(1, rel=1e-4)
    # The last pair is of <PATH_START> after the last layer; held-out mazes, same scaling.
    keys = jax.random.split(random.key(10))
    world = [MazeResidual(game, model, games[0].layout.path_start) for game in games]
    raw = [
        w.streams(jax.random.split(k, 1)[0], 64) for w, k in zip(world, keys, strict=True)
    ]
    mean = raw[0][0][-1].mean(0)
    size = jnp.sqrt(jnp.square(raw[0][0][-1] - mean).mean())
    np.testing.assert_allclose(test.x, (raw[1][0][-1] - mean) / size, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(test.features, raw[1][1] > 0)


def checked(trained, before):
    def of(value):
        row = {"corrected": (value, value - 0.02, value + 0.02)}
        return {kind: {"best": 0, "rows": [row]} for kind in ("open", "wall")}

    scores = dict(zip(MODELS, map(of, (trained, before)), strict=True))
    passed = [c.passed for c in path_start.make_checks({"scores": scores})]
    assert passed[:2] == passed[2:]
    return passed[:2]


def test_checks_ask_for_more_than_chance_and_than_before_training():
    assert checked(0.3, 0.1) == [True, True]
    assert checked(0.3, 0.29) == [True, False]
    assert checked(0.01, -0.1) == [False, True]


@pytest.mark.slow
def test_a_whole_record(monkeypatch, tmp_path):
    preset = presets.tiny()
    found = pretrained.Pretrained(preset, preset.init(random.key(11)), {})
    monkeypatch.setattr(pretrained, "load", lambda name: found)
    settings = Settings(n_latents=16, ks=(2.0, 4.0), steps=2, n_mazes=64)
    result = path_start.run(settings, 12, Job(tmp_path, "test"))
    n = 2 * 2 * 2  # places, layers, ks
    assert result.arrays["trained/wall/rows"].shape == (n, 3)
    assert result.arrays["before training/open/probes"].shape == (n // 2, 3)
    assert len(result.table) == 1 + n + n // 2 + 1
