"""Keyed streams of batches: the same data everywhere, and a test set apart from training.

The key of a batch is made from the data seed, the name of the stream and the step, and
from nothing else. So the test set of a seed is the same for every model, machine and
batch order, and no batch of it is one of training.
"""

import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal, get_args, overload

import jax
import numpy as np
from jaxtyping import Array, Key

from synthetic.base import Batch, GroundTruth
from synthetic.random import key as hash_key
from synthetic.validation import require_range

Stream = Literal["train", "calibrate", "test"]


def stream_key(seed: int, stream: Stream) -> Key[Array, ""]:
    """The key of a stream. `fold_in(stream_key(seed, stream), step)` is a batch's key.

    `toymodels.training.loop.keys` splits that key once more, for what follows the update
    needs one too. So a run of the loop with `stream_key(seed, "train")` is trained on other
    samples than `batches` gives, and neither has any of another stream.
    """
    if stream not in get_args(Stream):
        raise ValueError(
            f"stream is {stream!r}, expected one of {', '.join(get_args(Stream))}; train "
            "on one, set thresholds on another, score on the third"
        )
    return jax.random.fold_in(hash_key(seed), zlib.crc32(stream.encode()))


def batch_key(seed: int, stream: Stream, step: int) -> Key[Array, ""]:
    """The key of one batch."""
    require_range("step", step, low=0, fix="it counts batches")
    return jax.random.fold_in(stream_key(seed, stream), step)


@overload
def batches(
    world: GroundTruth,
    batch_size: int,
    *,
    seed: int = 0,
    stream: Stream = "train",
    start: int = 0,
    stop: int | None = None,
    features: Literal[False] = False,
) -> Iterator[np.ndarray]: ...


@overload
def batches(
    world: GroundTruth,
    batch_size: int,
    *,
    seed: int = 0,
    stream: Stream = "train",
    start: int = 0,
    stop: int | None = None,
    features: Literal[True],
) -> Iterator[Batch]: ...


def batches(
    world: GroundTruth,
    batch_size: int,
    *,
    seed: int = 0,
    stream: Stream = "train",
    start: int = 0,
    stop: int | None = None,
    features: bool = False,
) -> Iterator[Any]:
    """Batches as NumPy arrays, for training in another framework.

        for x in synthetic.batches(world, 1024, stop=1000):
            loss = model(torch.from_numpy(x))

    The next batch is computed while the last one is in use. Arrays are the reader's own.

    Args:
        world: where samples come from.
        batch_size: rows of a batch.
        seed: the data seed.
        stream: "train", "calibrate" or "test".
        start: the first step; a run that stopped before step t goes on with start=t.
        stop: the step to end before; None never ends.
        features: gives `Batch(x, features)` instead of x.
    """
    require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
    require_range("start", start, low=0, fix="it counts batches")
    if stop is not None:
        require_range("stop", stop, low=start, fix="steps run from start up to stop")
    key = stream_key(seed, stream)
    return _batches(world, key, batch_size, start, stop, features)


def _batches(world, key, batch_size, start, stop, features):
    draw = partial(_draw, batch_size=batch_size, features=features)
    last = float("inf") if stop is None else stop
    step, ahead = start, draw(world, key, start) if start < last else None
    while step < last:
        now, step = ahead, step + 1
        ahead = draw(world, key, step) if step < last else None
        yield jax.tree.map(np.array, now)


@partial(jax.jit, static_argnames=("batch_size", "features"))
def _draw(world, key, step, batch_size: int, features: bool):
    batch = world.sample(jax.random.fold_in(key, step), batch_size)
    return batch if features else batch.x
