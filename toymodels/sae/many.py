"""Many dictionaries at once: all members of a study as one compiled program.

`fit_many` is the one to call: dictionaries, a world, a number of seeds. `fit_members` is
what it drives: members of any kind, each with its own world, weights and data key.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Key, PyTree

from synthetic import random
from synthetic.base import GroundTruth
from synthetic.validation import require_range
from toymodels.sae import training
from toymodels.sae.base import Dictionary
from toymodels.sae.fitted import Fitted, Study
from toymodels.training import ensemble, loop
from toymodels.training.progress import Choice


def fit_members(
    key: Key[Array, " member"],
    dictionaries: Dictionary,
    worlds: GroundTruth,
    params: PyTree,
    n_steps: int = 4_000,
    batch_size: int = 1024,
    learning_rate: ArrayLike = 3e-3,
    decay: float = 0.3,
    learns: Mapping[str, Bool[Array, " member"]] | None = None,
    one_world: bool = False,
    block: int | None = None,
    chunk: int = 500,
    progress: Choice = None,
    checkpoints: loop.Checkpoints | None = None,
    measure: loop.Measure = loop.nothing,
) -> tuple[PyTree, loop.History]:
    """Fits each dictionary to its world from given weights.

    Members differ in the values of leaves: of the dictionary (penalties), of the world
    (probabilities, directions), of the weights they start from, and in the data key.

    Args:
        key: of each member's data; members with equal keys see the same draws.
        dictionaries: one pytree whose leaves are stacked along the members.
        worlds: likewise.
        params: likewise; where training starts.
        n_steps, batch_size: of every member.
        learning_rate: of `training.adam`, one for all or one per member; traced.
        decay: of `training.adam`.
        learns: name of a part of the weights to one truth value per member; where it is
            False that part gets no gradient. Parts without a name learn.
        one_world: `worlds` is a single world that all members share.
        block: see `ensemble.over_members`.
        chunk, checkpoints, measure: see `loop.run`.
        progress: see `training.fit`.

    Returns:
        The weights, stacked along the members, and one row per chunk.

    Raises:
        NonFiniteLossError: a loss became NaN or infinite.
    """
    rates = jnp.broadcast_to(jnp.asarray(learning_rate, jnp.float32), (len(key),))
    schedule = _Schedule(n_steps, batch_size, decay)
    free = {name: jnp.asarray(of_members) for name, of_members in (learns or {}).items()}
    own = (key, dictionaries, free, rates)
    states = jax.vmap(
        lambda d, p, rate: loop.start(p, schedule.optimizer(rate), d.memory(p))
    )(dictionaries, params, rates)
    state, history = loop.run(
        lambda states, n: _step_chunk(schedule, one_world, block, own, states, worlds, n),
        states,
        n_steps,
        chunk,
        progress,
        checkpoints,
        measure,
    )
    return state.params, history


def fit_many(
    key: Key[Array, ""],
    dictionaries: Sequence[Dictionary] | Mapping[str, Dictionary],
    world: GroundTruth,
    n_seeds: int = 1,
    n_steps: int = 4_000,
    batch_size: int = 1024,
    learning_rate: ArrayLike = 3e-3,
    chunk: int = 500,
    progress: Choice = None,
) -> Study:
    """Fits every dictionary from every seed to one world.

    Dictionaries of one variant that differ in the values of their fields are one compiled
    program, with their seeds side by side; each further variant or width is one more. Seed
    s of every dictionary sees the same samples and, where shapes agree, starts from the
    same weights, so that dictionaries are compared on equal terms. Thresholds are
    calibrated as by `fit`.

    Args:
        key: of all first weights and all data.
        dictionaries: a list, named by what tells them apart, or name -> dictionary.
        world: where the samples come from.
        n_seeds: fits of each dictionary.
        n_steps: updates of each fit.
        batch_size: fresh samples in each update.
        learning_rate: of `training.adam`; one for all, or one per dictionary.
        chunk: updates between two rows of the history.
        progress: see `training.fit`.

    Returns:
        Name -> one `Fitted` per seed.

    Raises:
        ValueError: there is no dictionary, two have one name, or n_seeds is less than 1.
        NonFiniteLossError: a loss became NaN or infinite.
    """
    require_range("n_seeds", n_seeds, low=1, fix="it counts fits of each dictionary")
    named = _named(dictionaries)
    rates = dict(
        zip(named, np.broadcast_to(np.asarray(learning_rate), len(named)), strict=True)
    )
    key_init, key_data = jax.random.split(key)
    key_calibrate = random.named(key_data, "calibrate")
    fits: dict[str, tuple[Fitted, ...]] = {}
    for group in _alike(named):
        members = [named[name] for name in group for _ in range(n_seeds)]
        seed = jnp.tile(jnp.arange(n_seeds), len(group))
        # Clones: every dictionary gets the draws of its seed, on purpose.
        init, data = (
            jax.random.split(jax.random.clone(part), n_seeds)[seed]
            for part in (key_init, key_data)
        )
        stacked = ensemble.stack(members)
        starts = jax.jit(jax.vmap(lambda k, d: d.init(k, world.d_model)))(init, stacked)
        params, history = fit_members(
            data,
            stacked,
            world,
            starts,
            n_steps,
            batch_size,
            np.repeat([rates[name] for name in group], n_seeds),
            one_world=True,
            chunk=chunk,
            progress=progress,
        )
        params = jax.device_get(params)  # they lie on all devices
        for i, name in enumerate(group):
            places = range(i * n_seeds, (i + 1) * n_seeds)
            fits[name] = tuple(
                _one(named[name], params, history, place, key_calibrate, world)
                for place in places
            )
    return Study({name: fits[name] for name in named})


def _one(dictionary, params, history, place, key, world) -> Fitted:
    own = jax.tree.map(lambda leaf: jnp.asarray(leaf[place]), params)
    own = training.calibrated(jax.random.clone(key), dictionary, own, world)
    rows = {name: row[:, place] for name, row in history.metrics.items()}
    return Fitted(dictionary, own, loop.History(history.step, rows))


def _named(
    dictionaries: Sequence[Dictionary] | Mapping[str, Dictionary],
) -> dict[str, Dictionary]:
    """Name -> dictionary; a list is named by the class and the fields that differ."""
    if isinstance(dictionaries, Mapping):
        named = dict(dictionaries)
    else:
        names = _names(list(dictionaries))
        named = dict(zip(names, dictionaries, strict=True))
        if len(named) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"two dictionaries are {twice}, expected each once; give names, as "
                '{"first": ..., "second": ...}, or more seeds by n_seeds='
            )
    if not named:
        raise ValueError(
            "there is no dictionary, expected at least one; give a list, such as "
            "[TopK(64, k=k) for k in (2, 3)]"
        )
    return named


def _names(dictionaries: list[Dictionary]) -> list[str]:
    """The class and those plain fields in which dictionaries of that class differ."""
    names = []
    for one in dictionaries:
        alike = [other for other in dictionaries if type(other) is type(one)]
        plain = {
            field.name: getattr(one, field.name)
            for field in dataclasses.fields(one)  # type: ignore[arg-type]
            if isinstance(getattr(one, field.name), int | float | str | tuple)
        }
        differing = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in plain.items()
            if any(getattr(other, name) != value for other in alike)
        ]
        told = f"({', '.join(differing)})" if differing else ""
        names.append(type(one).__name__ + told)
    return names


def _alike(named: Mapping[str, Dictionary]) -> list[list[str]]:
    """Names grouped by variant, so that each group is one program."""
    groups: dict[str, list[str]] = {}
    for name, dictionary in named.items():
        shapes = jax.tree.map(jnp.shape, dictionary)
        groups.setdefault(f"{type(dictionary)} {shapes}", []).append(name)
    return list(groups.values())


class _Schedule(NamedTuple):
    n_steps: int
    batch_size: int
    decay: float

    def optimizer(self, rate: ArrayLike) -> optax.GradientTransformation:
        return training.adam(rate, self.n_steps, self.decay)


# Outside `fit_members`, so that calls which differ in leaves alone share one program.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _step_chunk(
    schedule: _Schedule,
    one_world: bool,
    block: int | None,
    own: PyTree,
    states: loop.State,
    worlds: GroundTruth,
    n: int,
) -> tuple[loop.State, loop.Chunk]:
    def advance(key, dictionary, learns, rate, state, world, n):
        def loss(params, x, memory, step):
            return dictionary.loss(_held(params, learns), x, memory, step)

        return loop.advance(
            key,
            state,
            n,
            loss=loss,
            sample=lambda key: world.sample(key, schedule.batch_size).x,
            optimizer=schedule.optimizer(rate),
            after=dictionary.after,
        )

    n_members = len(own[0])
    together = ensemble.over_members(advance, n_members, 1 + one_world, block)
    return together(*own, states, worlds, n)


def _held(params: Any, learns: Mapping[str, Bool[Array, ""]]) -> Any:
    """The same weights, parts that do not learn cut off from the gradient."""
    parts = {name: getattr(params, name) for name in learns}
    held = {
        name: jnp.where(learns[name], part, lax.stop_gradient(part))
        for name, part in parts.items()
    }
    return params._replace(**held)
