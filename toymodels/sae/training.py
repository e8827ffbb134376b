"""Fitting dictionaries to a world, through the one loop of `toymodels.training.loop`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Int, Key, PyTree

from synthetic.base import GroundTruth
from synthetic.random import named
from synthetic.validation import require_range
from toymodels.sae.base import Dictionary
from toymodels.sae.fitted import Fitted
from toymodels.sae.threshold import calibrate
from toymodels.training import loop
from toymodels.training.progress import Choice

_CALIBRATION = 1 << 26  # codes held in memory at once


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
    """`loop.advance` for one dictionary on one world; pure, so `vmap` it over members."""
    return loop.advance(
        key,
        state,
        n_steps,
        loss=dictionary.loss,
        sample=lambda key: world.sample(key, batch_size).x,
        optimizer=optimizer,
        after=dictionary.after,
    )


def fit(
    key: Key[Array, ""],
    dictionary: Dictionary,
    world: GroundTruth,
    n_steps: int = 4_000,
    batch_size: int = 1024,
    learning_rate: ArrayLike | None = None,
    optimizer: optax.GradientTransformation | None = None,
    start: Any = None,
    chunk: int = 500,
    progress: Choice = None,
    checkpoints: loop.Checkpoints | None = None,
) -> Fitted:
    """Fits one dictionary to a world.

    The whole run is compiled; calls that differ in the values of leaves alone (of the
    dictionary, the world, the learning rate) share one program. A variant that selects
    over the batch in training gets its exact threshold at the end, on samples of a stream
    of its own, so that the codes of the result have the L0 that was asked for.

    Args:
        key: of the first weights and of the data.
        dictionary: a variant of `toymodels.sae`, or one of your own.
        world: where the samples come from.
        n_steps: updates.
        batch_size: fresh samples in each update.
        learning_rate: of `adam`, 3e-3 unless it is given.
        optimizer: an optax transformation in place of `adam`. One that is made anew for
            every call is compiled anew for every call.
        start: weights to start from instead of `dictionary.init`.
        chunk: updates between two rows of the history, which is also how often progress is
            shown and checkpoints are saved.
        progress: True shows share, rate and remaining time, False nothing, and None shows
            them on a terminal or in a notebook only; or a function of `(step, metrics)`.
        checkpoints: where the run is saved, and resumed from.

    Returns:
        The fitted dictionary, with one row of history per chunk.

    Raises:
        ValueError: both a learning rate and an optimizer were given, or a size is less
            than 1.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    require_range("n_steps", n_steps, low=1, fix="it counts updates")
    require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
    if optimizer is not None and learning_rate is not None:
        raise ValueError(
            f"learning_rate={learning_rate} came with an optimizer, expected one of the "
            "two; give the rate to the optimizer"
        )
    rate = 3e-3 if learning_rate is None else learning_rate
    made = adam(rate, n_steps) if optimizer is None else optimizer
    key_init, key_data = jax.random.split(key)
    params = dictionary.init(key_init, world.d_model) if start is None else start
    own = (key_data, dictionary, world, rate)
    state, history = loop.run(
        lambda state, n: _step_chunk(n_steps, batch_size, optimizer, own, state, n),
        loop.start(params, made, dictionary.memory(params)),
        n_steps,
        chunk,
        progress,
        checkpoints,
    )
    params = calibrated(named(key_data, "calibrate"), dictionary, state.params, world)
    return Fitted(dictionary, params, history)


# Outside `fit`, so that calls which differ in leaves alone share one program.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _step_chunk(
    n_steps: int,
    batch_size: int,
    optimizer: optax.GradientTransformation | None,
    own: PyTree,
    state: loop.State,
    n: int,
) -> tuple[loop.State, loop.Chunk]:
    key, dictionary, world, learning_rate = own
    if optimizer is None:
        optimizer = adam(learning_rate, n_steps)
    return advance(
        key, dictionary, state, n, world=world, optimizer=optimizer, batch_size=batch_size
    )


def calibrated(
    key: Key[Array, ""], dictionary: Dictionary, params: Any, world: GroundTruth
) -> Any:
    """`params` with the threshold at which the mean L0 is what was asked for.

    Set on samples of `world` from `key` (8,192 of them, fewer for wide dictionaries). Of a
    variant without such a threshold, `params` as they are.
    """
    if not _has_threshold(dictionary):
        return params
    n_rows = int(np.clip(_CALIBRATION // dictionary.n_latents, 1_024, 8_192))
    return _calibrated(n_rows, key, dictionary, params, world)


@partial(jax.jit, static_argnums=0)
def _calibrated(n_rows, key, dictionary, params, world):
    return calibrate(dictionary, params, world.sample(key, n_rows).x)


def _has_threshold(dictionary: Any) -> bool:
    """Whether a variant, or the one in a wrapper, selects over the batch in training."""
    if hasattr(dictionary, "calibrate") or hasattr(dictionary, "encode_batch"):
        return True
    return hasattr(dictionary, "inner") and _has_threshold(dictionary.inner)
