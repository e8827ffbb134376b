"""Different variants on one stream of data: each batch is drawn once for all of them.

Where drawing a batch costs as much as a step of training, as in wide worlds with a
hierarchy, this is the cheaper way to compare dictionaries.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Int, Key

from synthetic.base import GroundTruth
from toymodels.sae import training
from toymodels.training import loop
from toymodels.training.progress import Choice

Stacks = dict[str, Any]


def advance(
    key: Key[Array, ""],
    dictionaries: Stacks,
    states: Stacks,
    n_steps: Int[Array, ""] | int,
    *,
    world: GroundTruth,
    optimizer: optax.GradientTransformation,
    batch_size: int = 1024,
) -> tuple[Stacks, dict[str, loop.Chunk]]:
    """Makes `n_steps` updates of every member of every variant; pure.

    Each member ends where `training.advance` with the same key would have taken it. In
    each step members are updated one after another.

    Args:
        key: the data key of the whole run.
        dictionaries: by name, variants whose leaves are stacked along their members.
        states: likewise; all at the same step.
        n_steps: how many updates; may be traced.
        world: where the batches come from.
        optimizer: of every member, on its own.
        batch_size: samples in a step.
    """
    first = next(iter(states.values())).step[0]

    def sample(step):
        key_batch, _ = loop.keys(key, step)
        return world.sample(key_batch, batch_size).x

    def step_of(x):
        def one(member):
            dictionary, state = member
            return loop.advance(
                key,
                state,
                1,
                loss=dictionary.loss,
                sample=lambda key: x,
                optimizer=optimizer,
                after=dictionary.after,
            )

        return one

    def update(states, x):
        moved = {
            name: lax.map(step_of(x), (dictionaries[name], states[name])) for name in states
        }
        return {k: v[0] for k, v in moved.items()}, {k: v[1] for k, v in moved.items()}

    def body(i, carry):
        states, x, chunks = carry
        following = sample(first + i + 1)
        states, new = update(states, x)
        joined = {name: _joined(i, chunks[name], new[name]) for name in new}
        return states, following, joined

    x = sample(first)
    shapes = jax.eval_shape(lambda s, x: update(s, x)[1], states, x)
    empty = {name: _empty(chunk) for name, chunk in shapes.items()}
    states, _, chunks = lax.fori_loop(0, n_steps, body, (states, x, empty))
    return states, chunks


def fit_variants(
    key: Key[Array, ""],
    dictionaries: Stacks,
    world: GroundTruth,
    n_steps: int = 4_000,
    batch_size: int = 1024,
    learning_rate: float = 3e-3,
    seeds: Sequence[int] = (),
    chunk: int = 500,
    progress: Choice = None,
) -> Stacks:
    """The weights of all members after training, compiled.

    Args:
        key: of the first weights and of the data.
        dictionaries: by name, variants whose leaves are stacked along their members.
        world: where the batches come from.
        n_steps, batch_size, learning_rate: of every member.
        seeds: of each member's first weights, the same for every variant; all members of a
            variant start alike where there are none.
        chunk: see `loop.run`.
        progress: see `training.fit`.

    Raises:
        NonFiniteLossError: a loss became NaN or infinite.
    """
    key_init, key_data = jax.random.split(key)
    optimizer = training.adam(learning_rate, n_steps)
    of_members = jnp.asarray(seeds) if seeds else None

    def start(dictionary, seed):
        key = jax.random.clone(key_init)
        key = key if seed is None else jax.random.fold_in(key, seed)
        return training.start(key, dictionary, world.d_model, optimizer)

    def step_chunk(states, n):
        return _advance(
            key_data,
            dictionaries,
            states,
            n,
            world,
            n_steps=n_steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )

    states, _ = loop.run(
        step_chunk,
        {k: jax.vmap(start)(stack, of_members) for k, stack in dictionaries.items()},
        n_steps,
        chunk,
        progress,
    )
    return {name: state.params for name, state in states.items()}


@partial(jax.jit, static_argnames=("n_steps", "batch_size", "learning_rate"))
def _advance(
    key, dictionaries, states, n, world, *, n_steps, batch_size, learning_rate
) -> tuple[Stacks, dict[str, loop.Chunk]]:
    """Compiled once for all worlds of one shape."""
    return advance(
        key,
        dictionaries,
        states,
        n,
        world=world,
        optimizer=training.adam(learning_rate, n_steps),
        batch_size=batch_size,
    )


def _empty(chunk: loop.Chunk) -> loop.Chunk:
    """No steps yet."""
    zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, jnp.float32), chunk.metrics)
    return loop.Chunk(zeros, jnp.full(chunk.bad_step.shape, -1, chunk.bad_step.dtype))


def _joined(i: Int[Array, ""], chunk: loop.Chunk, new: loop.Chunk) -> loop.Chunk:
    """The means after step `i` more, and the first bad step."""
    mean = jax.tree.map(lambda m, now: m + (now - m) / (i + 1), chunk.metrics, new.metrics)
    return loop.Chunk(mean, jnp.where(chunk.bad_step < 0, new.bad_step, chunk.bad_step))
