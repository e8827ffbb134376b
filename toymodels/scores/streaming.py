"""Statistics gathered block by block, for one dictionary or many on the same samples."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key, PyTree

from synthetic.base import Batch, GroundTruth
from toymodels.scores.statistics import Statistics, measure, merge_all


@functools.partial(jax.jit, static_argnames="batch_size")
def sample(world: GroundTruth, key: Key[Array, ""], batch_size: int) -> Batch:
    """Compiled once for all worlds of one shape, however often they are scored."""
    return world.sample(key, batch_size)


def blocks(
    codes: Callable[[Batch], tuple[Any, Any]],
    world: GroundTruth,
    keys: Key[Array, " block"],
    block: int,
) -> Iterator[Statistics]:
    """The statistics of one block of samples per key; `codes` gives z and x_hat."""
    reduce_block = jax.jit(measure)
    for key in keys:
        batch = sample(world, key, block)
        z, x_hat = codes(batch)
        yield jax.device_get(reduce_block(batch, jnp.asarray(z), jnp.asarray(x_hat)))


def member_statistics(
    codes: Callable[[PyTree, Batch], tuple[Array, Array]],
    members: PyTree,
    world: GroundTruth,
    key: Key[Array, ""],
    n_samples: int = 65_536,
    block: int = 8_192,
    truth: Callable[[Batch], Batch] = lambda batch: batch,
) -> list[Statistics]:
    """The statistics of many dictionaries on the same samples.

    Args:
        codes: `(member, batch) -> (z, x_hat)`, pure.
        members: a pytree whose leaves are stacked along a leading axis.
        world: shared by all.
        key: of the samples.
        n_samples: rounded up to whole blocks.
        block: samples held in memory at once.
        truth: what codes and reconstruction are measured against, where that is not the
            batch itself: a transcoder's target, views side by side.
    """

    @jax.jit
    def measure_block(members, world, key):
        batch = world.sample(key, block)
        against = truth(batch)
        return lax.map(lambda member: measure(against, *codes(member, batch)), members)

    keys = jax.random.split(key, -(-n_samples // block))
    found = [jax.device_get(measure_block(members, world, key)) for key in keys]
    n_members = len(jax.tree.leaves(members)[0])
    return [
        merge_all(jax.tree.map(lambda leaf: leaf[i], one) for one in found)  # noqa: B023
        for i in range(n_members)
    ]
