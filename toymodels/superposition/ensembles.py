"""Many toy models at once: every setting with every seed, as one compiled program."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

from synthetic.base import Batch
from synthetic.random import named
from synthetic.validation import require_range
from toymodels.training import ensemble, loop
from toymodels.training.progress import Choice

_FLOATS_IN_CACHE = 1 << 17
_BLOCK_OF_SAMPLES = 1 << 13


class Model(Protocol):
    """A toy model, trained on the true features of a world."""

    @property
    def n_features(self) -> int: ...

    def init(self, key: Key[Array, ""]) -> PyTree: ...

    def loss(
        self, params: Any, features: Array, memory: tuple, step: Int[Array, ""]
    ) -> tuple[Array, loop.Outcome]: ...


class World(Protocol):
    """Any world: only the features of its batches are used."""

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch: ...


Problem = Callable[[Any], tuple[Model, World]]


def train(
    key: Key[Array, ""],
    problem: Problem,
    settings: PyTree,
    *,
    n_seeds: int,
    steps: int,
    batch_size: int,
    optimizer: optax.GradientTransformation,
    share_draws: bool = False,
    measure: loop.Measure = loop.nothing,
    n_rows: int = 50,
    progress: Choice = None,
    checkpoints: loop.Checkpoints | None = None,
) -> tuple[PyTree, loop.History]:
    """Trains `n_seeds` models on every setting, all in one program.

    Members run in blocks that fit the cache, one block after another, on every CPU core;
    on an accelerator they all run side by side.

        def problem(density):
            law = firing.Independent(jnp.full(5, density))
            return superposition.Bottleneck(5, 2), SparseFeatures.of_features(law)

        params, history = superposition.train(key, problem, jnp.array([1.0, 0.1]), ...)

    Args:
        key: of the initial weights and the data.
        problem: `setting -> (model, world)`, pure; shapes must not depend on the setting.
        settings: what is swept: a pytree whose leaves have the settings as leading axis.
        n_seeds: models per setting, each with its own weights and, unless `share_draws`,
            its own data.
        steps: updates of every model.
        batch_size: fresh samples per update.
        optimizer: any optax transformation.
        share_draws: all members see the same random numbers: cheaper, and members are
            compared on equal data, but their outcomes are no longer independent.
        measure: `state -> {name: array}`, of one member at the end of every row.
        n_rows: of the history.
        progress: called once per row, or whether to show rows; see `sae.training.fit`.
        checkpoints: where the run is saved and resumed.

    Returns:
        Parameters [setting, seed, ...] and a history of [row, setting, seed, ...].
    """
    states, advance = program(
        key,
        problem,
        settings,
        n_seeds=n_seeds,
        batch_size=batch_size,
        optimizer=optimizer,
        share_draws=share_draws,
    )
    states, history = loop.run(
        advance,
        states,
        steps,
        chunk=math.ceil(steps / n_rows),
        measure=jax.jit(jax.vmap(measure)),
        progress=progress,
        checkpoints=checkpoints,
    )
    grid = (_n_settings(settings), n_seeds)
    # By way of the host: parameters that lie on several devices fit few later programs.
    params = jax.tree.map(
        lambda x: jnp.asarray(x.reshape(*grid, *x.shape[1:])), jax.device_get(states.params)
    )
    rows = {
        name: row.reshape(len(row), *grid, *row.shape[2:])
        for name, row in history.metrics.items()
    }
    return params, loop.History(history.step, rows)


def program(
    key: Key[Array, ""],
    problem: Problem,
    settings: PyTree,
    *,
    n_seeds: int,
    batch_size: int,
    optimizer: optax.GradientTransformation,
    share_draws: bool = False,
) -> tuple[loop.State, Callable[[loop.State, int], tuple[loop.State, loop.Chunk]]]:
    """The states `train` starts from, and the compiled `(states, n) -> (states, Chunk)`.

    Args: as of `train`. Members lie along one leading axis, seeds within settings.
    """
    require_range("n_seeds", n_seeds, low=1)
    require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
    n_members = _n_settings(settings) * n_seeds
    key_init, key_data = jax.random.split(key)
    settings = jax.tree.map(_number, settings)
    repeated = jax.tree.map(lambda x: jnp.repeat(x, n_seeds, axis=0), settings)

    def begin(key, setting):
        return loop.start(problem(setting)[0].init(key), optimizer)

    def advance(state, setting, key, n):
        model, world = problem(setting)
        return loop.advance(
            key,
            state,
            n,
            loss=model.loss,
            sample=lambda key: world.sample(key, batch_size).features,
            optimizer=optimizer,
        )

    def advance_sharing(state, setting, n):
        return advance(state, setting, jax.random.clone(key_data), n)

    block = _members_in_cache(problem, settings, batch_size)
    # Begun where they will train: a state placed elsewhere would be compiled for again.
    starting = jax.jit(ensemble.over_members(begin, n_members, block=block))
    states = starting(jax.random.split(key_init, n_members), repeated)
    if share_draws:
        together = ensemble.over_members(advance_sharing, n_members, shared=1, block=block)
        members = (repeated,)
    else:
        together = ensemble.over_members(advance, n_members, shared=1, block=block)
        members = (repeated, jax.random.split(key_data, n_members))
    return states, jax.jit(lambda states, n: together(states, *members, n))


def losses(
    key: Key[Array, ""],
    problem: Problem,
    settings: PyTree,
    params: PyTree,
    n_samples: int,
) -> Float[np.ndarray, "setting seed"]:
    """The loss of every member on `n_samples` samples, in float64.

    All members see the same random numbers, so that the best of several seeds is the best
    model and not the luckiest draw.

    Args:
        key: of the samples; neither the training key nor one derived from it. Split one
            key into both, or give one with a name (`synthetic.random.named`).
        problem, settings: as given to `train`.
        params: [setting, seed, ...], from `train`.
        n_samples: rounded up to whole blocks of 8,192.
    """
    n_blocks = math.ceil(n_samples / _BLOCK_OF_SAMPLES)

    def one_setting(setting, params, key):
        model, world = problem(setting)
        # Every setting consumes a clone: common random numbers are meant.
        features = world.sample(jax.random.clone(key), _BLOCK_OF_SAMPLES).features
        return jax.lax.map(lambda p: model.loss(p, features, (), jnp.int32(0))[0], params)

    together = ensemble.over_members(one_setting, _n_settings(settings), shared=1)
    together = jax.jit(together)
    settings = jax.tree.map(_number, settings)
    # One block at a time: calls in flight together can wait for each other's devices.
    blocks = [
        jax.device_get(together(settings, params, k))
        for k in jax.random.split(named(key, "losses"), n_blocks)
    ]
    return np.asarray(np.mean(blocks, axis=0, dtype=np.float64))


def _number(setting: ArrayLike) -> Array:
    """A swept number, of 32 bits whatever JAX's default is: models and data are float32."""
    array = jnp.asarray(setting)
    wide = {jnp.dtype("float64"): jnp.float32, jnp.dtype("int64"): jnp.int32}
    return array.astype(wide.get(array.dtype, array.dtype))


def _n_settings(settings: PyTree) -> int:
    return len(jax.tree.leaves(settings)[0])


def _members_in_cache(problem: Problem, settings: PyTree, batch_size: int) -> int | None:
    """How many members a CPU core runs side by side; an accelerator runs all."""
    if jax.default_backend() != "cpu":
        return None
    first = jax.tree.map(lambda x: x[0], settings)
    model, _ = problem(first)
    return max(1, _FLOATS_IN_CACHE // (batch_size * model.n_features))
