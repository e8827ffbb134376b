"""What a run draws: no key of an evaluation is one of training, whoever derived it how."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from synthetic import SparseFeatures, directions, firing, random, streams
from toymodels.maze import walks
from toymodels.sae import ReLU, one_stream, training
from toymodels.sae.many import fit_members
from toymodels.scores import controls, prepared, score
from toymodels.training import ensemble, loop
from toymodels.transformer import next_token, probes
from toymodels.transformer import preset as players

STEPS, BATCH = 5, 8
MAKERS = pytest.mark.parametrize("make", [jax.random.key, random.key])
SEEN: list[tuple[int, ...]] = []


def note(key):
    """Reports the key of a sample to `SEEN` when the compiled program runs."""
    words = jax.random.key_data(jax.random.clone(key))
    jax.debug.callback(lambda words: SEEN.append(tuple(map(int, words))), words)


@struct.dataclass
class Noted(SparseFeatures):
    """A world that tells with which keys it was sampled."""

    def sample(self, key, batch_size):
        note(key)
        return super().sample(key, batch_size)


class Stop(Exception):
    """Ends a run once its keys are known."""


def words_of(key) -> tuple[int, ...]:
    return tuple(map(int, jax.random.key_data(key)))


def seen(run: Callable[[], Any]) -> set[tuple[int, ...]]:
    """The keys of every sample drawn in `run`."""
    SEEN.clear()
    jax.block_until_ready(run())
    jax.effects_barrier()
    return set(SEEN)


def of_training(*data_keys) -> set[tuple[int, ...]]:
    """The keys of the first batches of runs with these data keys."""
    steps = jnp.arange(64)
    batches = jax.vmap(lambda key, step: loop.keys(key, step)[0], in_axes=(None, 0))
    keys = [jax.random.key_data(batches(key, steps)) for key in data_keys]
    found = {tuple(map(int, one)) for of_run in keys for one in np.asarray(of_run)}
    assert len(found) == 64 * len(data_keys)
    return found


def derived(key) -> list[Any]:
    """The key itself, its parts, and parts of these: what people make of one."""
    parts = list(jax.random.split(jax.random.clone(key), 3))
    below = [list(jax.random.split(jax.random.clone(part), 3)) for part in parts]
    return [jax.random.clone(one) for one in (key, *parts, *itertools.chain(*below))]


def world() -> Noted:
    rows = directions.orthogonal(random.key(1), 4, 4)
    return Noted(rows, firing.Independent(jnp.full(4, 0.3)))


@MAKERS
def test_a_part_of_a_key_is_the_key_with_its_number_folded_in(make):
    """Why numbers alone do not tell keys apart."""
    parts = jax.random.key_data(jax.random.split(make(3), 4))
    folded = [words_of(jax.random.fold_in(make(3), i)) for i in range(4)]
    np.testing.assert_array_equal(parts, folded)


@MAKERS
def test_batches_of_a_fit_have_the_keys_of_its_steps(make):
    """And a run on the key of a stream draws none that `synthetic.batches` gives."""
    stream = jax.random.wrap_key_data(
        jax.random.key_data(streams.stream_key(0, "train")),
        impl=jax.random.key_impl(make(0)),
    )
    optimizer, dictionary, own = optax.sgd(0.1), ReLU(3, revive=None), world()
    state = training.start(random.key(2), dictionary, 4, optimizer)
    run = jax.jit(
        lambda key, state: training.advance(
            key, dictionary, state, STEPS, world=own, optimizer=optimizer, batch_size=BATCH
        )
    )
    drawn = seen(lambda: run(jax.random.clone(stream), state))
    # The batch after the last is drawn one step ahead.
    assert drawn == {words_of(loop.keys(stream, step)[0]) for step in range(STEPS + 1)}
    given = {
        words_of(streams.batch_key(0, name, step))
        for name in ("train", "calibrate", "test")
        for step in range(64)
    }
    assert len(given) == 3 * 64
    assert not of_training(stream) & given


@pytest.mark.slow
@MAKERS
def test_all_ways_to_fit_have_the_same_keys(make):
    dictionary, own = ReLU(3, revive=None), world()
    stack = ensemble.stack([dictionary, dictionary])
    start = jax.vmap(lambda key: dictionary.init(key, 4))(jax.random.split(random.key(3)))
    _, key_data = jax.random.split(make(0))
    expected = {words_of(loop.keys(key_data, step)[0]) for step in range(STEPS + 1)}
    alone = seen(
        lambda: training.fit(make(0), dictionary, own, STEPS, BATCH, chunk=2).params
    )
    named = {"ReLU": stack}
    together = seen(lambda: one_stream.fit_variants(make(0), named, own, STEPS, BATCH))
    assert alone == together == expected
    keys = jax.random.split(make(0))
    many = seen(
        lambda: fit_members(
            jax.random.clone(keys), stack, own, start, STEPS, BATCH, one_world=True
        )[0]
    )
    assert many == {
        words_of(loop.keys(key, step)[0]) for key in keys for step in range(STEPS + 1)
    }


@MAKERS
def test_other_dictionaries_of_a_report_have_keys_of_their_own(make, monkeypatch):
    """The keys of what is random in a report, apart from its samples."""
    used = []

    def recorded(function, place):
        def called(*arguments):
            used.append(words_of(arguments[place]))
            return function(*arguments[:place], random.key(0), *arguments[place + 1 :])

        return called

    monkeypatch.setattr(prepared, "decoder_rows", recorded(prepared.decoder_rows, 2))
    at_random = recorded(controls.random_at_l0, 0)
    monkeypatch.setattr(controls, "random_at_l0", at_random)
    pair = (lambda x: jnp.maximum(x, 0), lambda z: 2 * z)
    few = {"n_samples": 64, "block": 32, "draws": 0, "pursuit_samples": 0}
    others = {str(i): pair for i in range(3)}
    score(pair, world(), make(0), others=others, **few)
    assert len(used) == len(set(used)) == 1 + 1 + len(others)


class Game:
    """Its name is all that is asked of it."""

    layout = None
    n_words = n_tokens = 3


class Positions:
    """As `residual.OthelloResidual`: games by the first half of the key."""

    slots = 4

    def streams(self, key, n_games):
        key_games, _ = jax.random.split(key)
        SEEN.append(words_of(key_games))
        x = jnp.arange(4.0 * n_games)[:, None] % 3
        return x[None], x


@pytest.fixture
def evaluations(monkeypatch):
    """By name, the evaluations of a player; each says which games it drew."""

    def measured(*arguments):
        SEEN.append(words_of(arguments[-1]))
        return {"found": 0.0}

    for module in (next_token, walks):
        monkeypatch.setattr(module, "_measured", measured)
    monkeypatch.setattr(probes, "_streams", lambda world, key, n: world.streams(key, n))
    none = probes.Probes(np.zeros((1, 1, 1)), np.zeros((1, 1)))
    model: Any = None
    game: Any = Game()
    return {
        "tokens": lambda key: next_token.evaluate(key, model, game, 32, 8),
        "walks": lambda key: walks.evaluate(key, model, game, 32, 8),
        "fit": lambda key: probes.fit(key, Positions(), 64, block=16),
        "read": lambda key: probes.feature_scores(key, none, Positions(), 64, block=16),
    }


@MAKERS
def test_players_are_measured_on_no_game_they_learned(make, evaluations, monkeypatch):
    given: list[Any] = []
    monkeypatch.setattr(next_token, "train", lambda key, *rest: given.append(key))
    preset: Any = players.Preset(Game(), 4, 1, 1, STEPS, BATCH, 1e-3)
    monkeypatch.setattr(players.Preset, "init", lambda self, key: None)
    preset.train(make(0))
    trained = of_training(make(0), *given)
    for key in derived(make(0)):
        drawn = [
            seen(lambda run=run, key=key: run(jax.random.clone(key)))
            for run in evaluations.values()
        ]
        assert [len(keys) for keys in drawn] == [4] * 4
        # Neither a batch of training, nor what a probe was fitted to.
        assert len(set.union(trained, *drawn)) == len(trained) + 16
