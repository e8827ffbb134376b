"""Statistics gathered block by block, for one dictionary or many on the same samples."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Key, PyTree

from synthetic.base import Batch, GroundTruth
from synthetic.stored.foreign import Outside, as_batch, repeated
from synthetic.validation import require_key, require_range
from toymodels.scores.statistics import Statistics, measure, merge_all


def opened(
    world: Any, key: Key[Array, ""], batch_size: int, directions: bool = True
) -> tuple[Any, Batch]:
    """The world as `sample` takes it, whoever wrote it, and a first batch.

    A world that JAX can trace stays what it is. One that it cannot trace, that gives equal
    samples for two keys when it is compiled, or that has no sizes or directions in tensors,
    is called outside `jit` (`foreign.Outside`).

    Args:
        world: any object with `sample(key, batch_size)`.
        key: of the first batch.
        batch_size: of the first batch.
        directions: whether they are needed.

    Raises:
        TypeError: it has no `sample` or no directions, or `sample` returns something else.
        ValueError: samples are not rows, or the same for every key; directions do not fit.
    """
    require_key("key", key)
    _require_world(world, directions)
    example = _compiled(world, key, batch_size)
    if example is None:
        world = Outside(world, key, batch_size)
        example = world.sample(key, batch_size)
        world.sample(jax.random.fold_in(jax.random.clone(key), 1), batch_size)
    _require_rows(example, batch_size)
    if directions:
        expected = (example.features.shape[1], example.x.shape[1])
        if (came := np.shape(world.directions)) != expected:
            raise ValueError(
                f"directions of the world have shape {came}, expected {expected} as its "
                "samples say; directions are rows, one a feature"
            )
    return world, example


def sample(world: Any, key: Key[Array, ""], batch_size: int) -> Batch:
    """Compiled once for all worlds of one shape, however often they are scored."""
    if isinstance(world, Outside):
        return world.sample(key, batch_size)
    return _sample(world, key, batch_size)


@functools.partial(jax.jit, static_argnames="batch_size")
def _sample(world: GroundTruth, key: Key[Array, ""], batch_size: int) -> Batch:
    batch = as_batch(world.sample(key, batch_size))
    return jax.tree.map(_in_single, batch) if isinstance(batch, Batch) else batch


def _in_single(part: Any) -> Array:
    """Booleans, integers and half precision as float32."""
    part = jnp.asarray(part)
    is_wide = jnp.issubdtype(part.dtype, jnp.floating) and part.dtype.itemsize >= 4
    return part if is_wide else part.astype(jnp.float32)


def _compiled(world: Any, key: Key[Array, ""], batch_size: int) -> Batch | None:
    """A first batch from the compiled world; None where that cannot be trusted, or where
    the world lacks its sizes or has directions that are no array.
    """
    sizes = (getattr(world, name, None) for name in ("n_features", "d_model"))
    directions = getattr(world, "directions", None)
    is_array = directions is None or isinstance(directions, jax.Array | np.ndarray)
    if not (is_array and all(isinstance(size, int) for size in sizes)):
        return None
    try:
        first = _sample(world, key, batch_size)
        second = _sample(world, jax.random.fold_in(jax.random.clone(key), 1), batch_size)
    except Exception:  # what a tracer makes other code raise depends on that code
        return None
    parts = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    same = [repeated(np.asarray(one), np.asarray(other)) for one, other in parts]
    return None if any(same) else first


def _require_world(world: Any, directions: bool) -> None:
    if isinstance(world, type):
        raise TypeError(
            f"the world is the class {world.__name__}, expected an instance of it; call it "
            "with what it needs"
        )
    if not callable(getattr(world, "sample", None)):
        raise TypeError(
            f"the world is a {type(world).__name__} without sample, expected one with "
            "sample(key, batch_size); give a world of synthetic, or stored rows as "
            "synthetic.Stored.of_arrays(x, features, directions)"
        )
    if directions and getattr(world, "directions", None) is None:
        raise TypeError(
            f"the world is a {type(world).__name__} without directions, expected known "
            "ones [feature, d_model] to compare latents with; for games use "
            "toymodels.scores.detection, for rows with known directions "
            "synthetic.Stored.of_arrays(x, features, directions)"
        )


def _require_rows(batch: Any, batch_size: int) -> None:
    for name, part in (("x", batch.x), ("features", batch.features)):
        shape = getattr(part, "shape", type(part).__name__)
        if not (hasattr(part, "shape") and len(shape) == 2 and shape[0] == batch_size):
            raise ValueError(
                f"{name} of the world's sample has shape {shape}, expected [{batch_size}, "
                "width]; score one position, view or place at a time"
            )


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
        key: of the samples, block i from `split(key, n)[i]`. Split one key into this and
            that of training, or give one with a name (`synthetic.random.named`).
        n_samples: rounded up to whole blocks.
        block: samples held in memory at once.
        truth: what codes and reconstruction are measured against, where that is not the
            batch itself: a transcoder's target, views side by side.
    """
    require_range("n_samples", n_samples, low=1, fix="scores need samples")
    require_range("block", block, low=1, fix="an empty block has no data")

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
