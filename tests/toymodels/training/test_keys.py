"""No sample of an evaluation is one of training, whatever key a user derives it from."""

from dataclasses import field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from synthetic import random
from synthetic.othello import Classic, OthelloGame
from synthetic.random import named
from synthetic.worlds import standard
from toymodels import fit, fit_many, score, superposition, transformer
from toymodels.sae import BatchTopK, TopK
from toymodels.transformer import next_token

DRAWN: list[tuple[int, ...]] = []


def remember(key):
    jax.debug.callback(
        lambda data: DRAWN.append(tuple(np.ravel(data).tolist())),
        jax.random.key_data(jax.random.clone(key)),
    )


@struct.dataclass
class Recording:
    """The easy world, remembering the key of every batch."""

    world: Any = field(default_factory=standard.easy)

    @property
    def n_features(self):
        return self.world.n_features

    @property
    def d_model(self):
        return self.world.d_model

    @property
    def directions(self):
        return self.world.directions

    def sample(self, key, batch_size):
        remember(key)
        return self.world.sample(key, batch_size)


def drawn(run) -> set[tuple[int, ...]]:
    """The keys of the batches that `run` draws."""
    DRAWN.clear()
    jax.block_until_ready(jax.tree.leaves(run()))
    jax.effects_barrier()
    return set(DRAWN)


KEYS = {"jax": jax.random.key, "ours": random.key}


@pytest.mark.parametrize("new_key", KEYS.values(), ids=KEYS)
def test_scores_never_meet_a_batch_of_training(new_key):
    world = Recording()
    settings = {"n_steps": 6, "batch_size": 64, "chunk": 3}
    trained = drawn(lambda: fit(new_key(3), TopK(16, k=2), world, **settings))
    trained |= drawn(lambda: fit_many(new_key(3), [TopK(16, k=2)], world, 2, 4, 64).params)
    calibrated = drawn(lambda: fit(new_key(3), BatchTopK(16, k=2), world, **settings))
    assert len(trained) >= 6 + 2 * 4
    sae = standard.easy().directions
    codes = (lambda x: jax.nn.relu(x @ sae.T - 0.5), lambda z: z @ sae)
    derived = [new_key(3), *(jax.random.fold_in(new_key(3), i) for i in range(4))]
    derived += list(jax.random.split(new_key(3), 2))
    derived += [jax.random.fold_in(jax.random.split(new_key(3))[1], i) for i in range(4)]
    scored = set()
    for key in derived:
        scored |= drawn(
            lambda key=key: score(codes, world, key, 256, 128, pursuit_samples=0).values
        )
    assert scored
    assert not scored & (trained | calibrated)


@struct.dataclass
class Game:
    """Othello on 4 x 4 squares, remembering the key of every batch."""

    game: OthelloGame = OthelloGame(Classic(4))

    def sample(self, key, batch_size):
        remember(key)
        return self.game.sample(key, batch_size)


@pytest.mark.parametrize("new_key", KEYS.values(), ids=KEYS)
def test_the_sequences_of_an_evaluation_are_none_of_training(new_key):
    """Whether it is given the key of training, a child of it or a part of it."""
    game, key = Game(), new_key(5)
    model = transformer.Transformer(
        random.key(1), game.game.n_words, game.game.n_tokens, 8, 1, 1
    )
    trained = drawn(lambda: next_token.train(key, model, game, 3, 4, 1e-3, chunk=3)[1])
    evaluated = set()
    for parent in (key, *(jax.random.fold_in(key, i) for i in range(4))):
        evaluated |= drawn(
            lambda parent=parent: next_token.evaluate(parent, model, game, 8, block=4)
        )
    assert len(trained) >= 3
    assert len(evaluated) == 5 * 2
    assert not trained & evaluated


def test_losses_of_toy_models_never_meet_a_batch_of_training():
    def problem(scale):
        return superposition.Bottleneck(16, 4), Recording()

    key = jax.random.key(9)
    models, _ = superposition.program(
        key,
        problem,
        jnp.ones(1),
        n_seeds=1,
        batch_size=8,
        optimizer=optax.sgd(0.1),
    )
    batches = [jax.random.split(jax.random.fold_in(key, t))[0] for t in range(4)]
    training = {tuple(jax.random.key_data(one).tolist()) for one in batches}
    found = drawn(
        lambda: superposition.losses(
            key, problem, jnp.ones(1), jax.tree.map(lambda p: p[:, None], models.params), 8
        )
    )
    assert found
    assert not found & training


@pytest.mark.parametrize("new_key", KEYS.values(), ids=KEYS)
def test_a_name_is_none_of_the_first_numbers(new_key):
    key = new_key(1)
    names = [named(key, name) for name in ("score", "evaluate", "losses", "calibrate")]
    counted = [jax.random.fold_in(key, i) for i in range(256)]
    data = {tuple(jax.random.key_data(one).tolist()) for one in names + counted}
    assert len(data) == 4 + 256
