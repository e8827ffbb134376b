"""Keys that experiments derive for training, for measuring and for random controls."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import world_model
from experiments.othello import world_model as othello_world_model
from experiments.recovery import contenders, dictionaries, recovery_seeds
from experiments.synthsaebench import competition
from synthetic import random
from synthetic.base import Batch
from toymodels.scores import controls, geometry, partial_oracle
from toymodels.transformer import next_token, preset


class Stop(Exception):
    """Ends a run once its keys are known."""


def words(key) -> tuple[int, ...]:
    return tuple(map(int, jax.random.key_data(key)))


def parts(key, n: int = 8) -> set[tuple[int, ...]]:
    found = jax.random.key_data(jax.random.split(jax.random.clone(key), n))
    return {tuple(map(int, one)) for one in np.asarray(found)}


def stop_with(found: list[Any]):
    """A function that notes the key it is called with, its first argument, and stops."""

    def called(key, *rest, **named):
        found.append(key)
        raise Stop

    return called


@pytest.mark.parametrize("experiment", [othello_world_model, world_model])
def test_a_player_is_measured_with_no_key_of_a_step(experiment, tmp_path, monkeypatch):
    trained, measured = [], []

    def train(self, key, **options):
        trained.append(key)
        return {}, None

    monkeypatch.setattr(preset.Preset, "train", train)
    monkeypatch.setattr(next_token, "evaluate", stop_with(measured))
    with pytest.raises(Stop):
        experiment.run(experiment.Settings(), 0, Job(tmp_path, "keys"))
    _, key_data = jax.random.split(trained[0])
    steps = {words(jax.random.fold_in(key_data, step)) for step in range(100)}
    assert len(steps) == 100
    assert words(measured[0]) not in steps


def test_dictionaries_and_their_data_have_keys_apart(tmp_path, monkeypatch):
    fitted, beside = [], []

    def floor_and_ceiling(key, *rest):
        beside.append(key)
        return ({name: 1.0 for name in (*dictionaries.SHOWN, "true_l0")},) * 2

    def make_contests(key, *rest):
        beside.append(key)
        return []

    def trained_on(key, world):
        beside.append(key)
        return world

    monkeypatch.setattr(dictionaries, "floor_and_ceiling", floor_and_ceiling)
    monkeypatch.setattr(dictionaries, "make_contests", make_contests)
    contender = dictionaries.Contender(lambda contest, world: None, trained_on)
    monkeypatch.setattr(dictionaries, "in_world", lambda make: contender)
    monkeypatch.setattr(contenders, "train", stop_with(fitted))
    settings = dictionaries.Settings(worlds=("easy",), variants=("TopK",))
    with pytest.raises(Stop):
        dictionaries.run(settings, 0, Job(tmp_path, "keys"))
    assert len(fitted) == 1
    assert len(beside) == 3
    # First weights, data, and the seeds of classical methods are parts of the one key.
    used = parts(fitted[0]) | {words(fitted[0])}
    others = {words(key) for key in beside}
    assert len(others) == 3
    assert not used & others


def test_controls_of_the_benchmark_have_no_key_of_a_member(monkeypatch):
    found: list[Any] = []
    world: Any = None
    example = Batch(jnp.zeros((2, 3)), jnp.zeros((2, 4)))
    monkeypatch.setattr(
        partial_oracle, "most_frequent", lambda world, n_latents: np.arange(4)
    )
    monkeypatch.setattr(controls, "random_at_l0", stop_with(found))
    settings = competition.Settings(n_latents=4, n_seeds=3)
    with pytest.raises(Stop):
        competition.controls_of(world, example, 1.0, settings, 0)
    members = jax.random.split(random.key(0), settings.n_seeds)
    below = set.union(*(parts(key) for key in members))
    assert len(below) == 8 * settings.n_seeds
    assert words(found[0]) not in below


def test_the_floor_of_seeds_has_no_key_of_theirs(tmp_path, monkeypatch):
    fitted, floor = [], []

    def fit_seeds(key, *rest):
        fitted.append(key)
        return [jnp.eye(2)]

    monkeypatch.setattr(recovery_seeds, "fit_seeds", fit_seeds)
    monkeypatch.setattr(geometry, "chance_mcc_dec", stop_with(floor))
    with pytest.raises(Stop):
        recovery_seeds.run(recovery_seeds.Settings(), 0, Job(tmp_path, "keys"))
    used = set.union(*(parts(key) | {words(key)} for key in fitted))
    assert words(floor[0]) not in used
