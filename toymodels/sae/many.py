"""Many dictionaries at once: all members of a study as one compiled program."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Key, PyTree

from synthetic.base import GroundTruth
from toymodels.sae import training
from toymodels.sae.base import Dictionary
from toymodels.training import ensemble, loop


def fit_many(
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
    progress: Callable[[int, dict[str, Any]], None] = lambda step, metrics: None,
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
        chunk, progress, checkpoints, measure: see `fit.run`.

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


class _Schedule(NamedTuple):
    n_steps: int
    batch_size: int
    decay: float

    def optimizer(self, rate: ArrayLike) -> optax.GradientTransformation:
        return training.adam(rate, self.n_steps, self.decay)


# Outside `fit_many`, so that calls which differ in leaves alone share one program.
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
