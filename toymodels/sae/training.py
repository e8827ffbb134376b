"""Fitting dictionaries to a world, through the one loop of `toymodels.training.loop`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Int, Key, PyTree

from synthetic.base import GroundTruth
from toymodels.sae.base import Dictionary
from toymodels.training import loop


def adam(
    learning_rate: ArrayLike, n_steps: int, decay: float = 0.3
) -> optax.GradientTransformation:
    """Adam at a constant rate that falls linearly to 0 over the last `decay` of the run."""
    decay_steps = max(1, round(decay * n_steps))

    def schedule(step):
        return learning_rate * jnp.clip((n_steps - step) / decay_steps, 0, 1)

    return optax.adam(schedule)


def start(
    key: Key[Array, ""],
    dictionary: Dictionary,
    d_model: int,
    optimizer: optax.GradientTransformation,
) -> loop.State:
    """The state of a fresh dictionary."""
    params = dictionary.init(key, d_model)
    return loop.start(params, optimizer, dictionary.memory(params))


def advance(
    key: Key[Array, ""],
    dictionary: Dictionary,
    state: loop.State,
    n_steps: Int[Array, ""] | int,
    *,
    world: GroundTruth,
    optimizer: optax.GradientTransformation,
    batch_size: int = 1024,
) -> tuple[loop.State, loop.Chunk]:
    """`fit.advance` for one dictionary on one world; pure, so `vmap` it over members."""
    return loop.advance(
        key,
        state,
        n_steps,
        loss=dictionary.loss,
        sample=lambda key: world.sample(key, batch_size).x,
        optimizer=optimizer,
        after=dictionary.after,
    )


def fit_dictionary(
    key: Key[Array, ""],
    dictionary: Dictionary,
    world: GroundTruth,
    n_steps: int = 4_000,
    batch_size: int = 1024,
    learning_rate: float = 3e-3,
    chunk: int = 500,
    progress: Callable[[int, dict[str, Any]], None] = lambda step, metrics: None,
    checkpoints: loop.Checkpoints | None = None,
) -> tuple[Any, loop.History]:
    """Fits one dictionary, compiled, and returns its weights and one row per chunk.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
    """
    key_init, key_data = jax.random.split(key)
    own = (key_data, dictionary, world, learning_rate)
    state, history = loop.run(
        lambda state, n: _step_chunk(n_steps, batch_size, own, state, n),
        start(key_init, dictionary, world.d_model, adam(learning_rate, n_steps)),
        n_steps,
        chunk,
        progress,
        checkpoints,
    )
    return state.params, history


# Outside `fit_dictionary`, so that calls which differ in leaves alone share one program.
@partial(jax.jit, static_argnums=(0, 1))
def _step_chunk(
    n_steps: int, batch_size: int, own: PyTree, state: loop.State, n: int
) -> tuple[loop.State, loop.Chunk]:
    key, dictionary, world, learning_rate = own
    optimizer = adam(learning_rate, n_steps)
    return advance(
        key, dictionary, state, n, world=world, optimizer=optimizer, batch_size=batch_size
    )
