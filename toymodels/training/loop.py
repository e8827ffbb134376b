"""The one training loop: for toy models, transformers and dictionaries alike.

`advance` is pure and holds no jit: the caller decides what to compile, `vmap` or shard.
`run` drives a compiled `advance` in chunks; progress, metrics and checkpoints leave the
device once per chunk.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Int, Key, PyTree

from toymodels.training.progress import Choice, following, reporter

Metrics = dict[str, Array]


@struct.dataclass
class State:
    """All that training carries from one step to the next.

    Attributes:
        step: number of updates made so far.
        params: what the optimizer updates.
        opt: the optimizer's state.
        memory: what else the loss needs (dead counters, thresholds, controllers).
    """

    step: Int[Array, ""]
    params: PyTree
    opt: optax.OptState
    memory: PyTree = ()


class Chunk(NamedTuple):
    """What a chunk of steps reports.

    Attributes:
        metrics: the mean over the chunk of every metric, the loss among them.
        bad_step: the first step whose loss was NaN or infinite, -1 when none was.
    """

    metrics: Metrics
    bad_step: Int[Array, ""]


class Outcome(NamedTuple):
    """What a loss tells beside its value.

    Attributes:
        metrics: name to scalar.
        memory: the next step's memory; the forward pass knows what fired.
    """

    metrics: Metrics
    memory: PyTree = ()


Loss = Callable[[PyTree, PyTree, PyTree, Int[Array, ""]], tuple[Array, Outcome]]
Sample = Callable[[Key[Array, ""]], PyTree]
After = Callable[[Key[Array, ""], State, PyTree], State]
Measure = Callable[[PyTree], Metrics]


def start(
    params: PyTree, optimizer: optax.GradientTransformation, memory: PyTree = ()
) -> State:
    """The state before the first step."""
    return State(jnp.int32(0), params, optimizer.init(params), memory)


def unchanged(key: Key[Array, ""], state: State, batch: PyTree) -> State:
    """The `after` of a model that keeps no state beside its parameters."""
    return state


def nothing(state: PyTree) -> Metrics:
    """The `measure` of a run that looks at its losses alone."""
    return {}


def keys(
    key: Key[Array, ""], step: Int[ArrayLike, ""]
) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """The keys of the batch of a step and of what comes after it: split(fold_in(key, t)).

    No key with a name (`synthetic.random.named`) is among those of any step.
    """
    key_batch, key_after = jax.random.split(jax.random.fold_in(key, step))
    return key_batch, key_after


def advance(
    key: Key[Array, ""],
    state: State,
    n_steps: Int[Array, ""] | int,
    *,
    loss: Loss,
    sample: Sample,
    optimizer: optax.GradientTransformation,
    after: After = unchanged,
) -> tuple[State, Chunk]:
    """Makes `n_steps` updates.

    The batch of step t depends on `(key, t)` alone, so a run cut anywhere equals the whole
    run bit for bit. `n_steps` may be traced: one compilation serves every chunk length.

    Args:
        key: the data key of the whole run; the same in every chunk. `keys` makes those of
            the steps of it. What measures the model later needs another: split one key
            into both, or fold a name into it, as `scores.score` does by itself.
        state: from `start` or an earlier `advance`.
        n_steps: how many updates.
        loss: `(params, batch, memory, step) -> (value, Outcome)`.
        sample: `key -> batch`.
        optimizer: any optax transformation.
        after: `(key, state, batch) -> state`, once after each update: projections,
            resampling of dead latents.
    """
    gradient = jax.value_and_grad(loss, has_aux=True)

    def update(state: State, batch: PyTree) -> tuple[State, Metrics]:
        (value, (metrics, memory)), grads = gradient(
            state.params, batch, state.memory, state.step
        )
        updates, opt = optimizer.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        moved = State(state.step + 1, params, opt, memory)
        moved = after(keys(key, state.step)[1], moved, batch)
        return _as_precise(moved, state), metrics | {"loss": value}

    # The next batch is drawn one step ahead and carried: in the same step XLA would draw
    # its random numbers again in every consumer.
    def body(i, carry):
        state, batch, chunk = carry
        following = sample(keys(key, state.step + 1)[0])
        moved, metrics = update(state, batch)
        mean = jax.tree.map(
            lambda m, new: m + (jnp.asarray(new, m.dtype) - m) / (i + 1),
            chunk.metrics,
            metrics,
        )
        is_first_bad = (chunk.bad_step < 0) & ~jnp.isfinite(metrics["loss"])
        bad_step = jnp.where(is_first_bad, state.step, chunk.bad_step)
        return moved, following, Chunk(mean, bad_step)

    batch = sample(keys(key, state.step)[0])
    shapes = jax.eval_shape(lambda s, b: update(s, b)[1], state, batch)
    zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, jnp.float32), shapes)
    start = (state, batch, Chunk(zeros, jnp.int32(-1)))
    state, _, chunk = lax.fori_loop(0, n_steps, body, start)
    return state, chunk


def _as_precise(moved: State, state: State) -> State:
    """`moved` with its floats at the precision of `state`.

    The state's dtypes are those it starts with: data or settings in float64, which is what
    JAX makes of Python's numbers where 64 bits are on, do not widen it.
    """
    if jax.tree.structure(moved) != jax.tree.structure(state):
        return moved  # JAX's own error says what differs.

    def as_before(new, old):
        floats = (jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in (new, old))
        return jnp.asarray(new, old.dtype) if all(floats) else new

    return jax.tree.map(as_before, moved, state)


class History(NamedTuple):
    """One row per chunk.

    Attributes:
        step: the step each row ends at.
        metrics: name to array [row, *members].
    """

    step: np.ndarray
    metrics: dict[str, np.ndarray]

    def __repr__(self) -> str:
        """How many rows, and the first and last value of each metric, of several members
        their mean.
        """
        if not len(self.step):
            return "History(no rows)"
        told = [
            f"{name} {np.mean(rows[0]):.4g} to {np.mean(rows[-1]):.4g}"
            + (f" (mean of {rows[0].size})" if np.ndim(rows) > 1 else "")
            for name, rows in self.metrics.items()
        ]
        rows = f"{len(self.step)} rows to step {self.step[-1]:,}"
        return f"History({': '.join([rows, ', '.join(told)]) if told else rows})"


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite."""


class Checkpoints(Protocol):
    """Where `run` keeps its state; see `toymodels.training.checkpoints`."""

    def save(
        self, step: int, state: PyTree, history: History, now: bool = False
    ) -> bool: ...

    def restore(self, state: PyTree) -> tuple[PyTree, History] | None: ...


def run(
    advance_chunk: Callable[[PyTree, int], tuple[PyTree, PyTree]],
    state: PyTree,
    n_steps: int,
    chunk: int = 100,
    progress: Choice = False,
    checkpoints: Checkpoints | None = None,
    measure: Measure = nothing,
) -> tuple[PyTree, History]:
    """Drives a compiled `advance` to step `n_steps`.

    Args:
        advance_chunk: `(state, n) -> (state, Chunk)`, compiled by the caller; `vmap` over
            members is the caller's too, and so are several models at once, as equal
            pytrees of states and of chunks. It may donate its state.
        state: where to start; replaced by the newest checkpoint when there is one.
        n_steps: the step to reach, counted from the very first.
        chunk: steps between two looks at the device.
        progress: called with the step and the chunk's metrics; or whether to show them,
            see `toymodels.training.progress.reporter`.
        checkpoints: offered the state after every good chunk, and told to keep it after
            the last one and when `progress` raises, so that an interrupted run resumes.
        measure: `state -> {name: array}`, looked at after every chunk; becomes columns of
            the history beside the chunk's means.

    Returns:
        The final state and one row of metrics per chunk.

    Raises:
        NonFiniteLossError: a loss was NaN or infinite; the newest checkpoint is good.
    """
    history = History(np.zeros(0, int), {})
    restored = checkpoints.restore(state) if checkpoints else None
    if restored:
        state, history = restored
    done = int(history.step[-1]) if len(history.step) else _first_step(state)
    report, is_kept = reporter(progress, "training", n_steps), restored is not None
    with following(report, done, resumed=is_kept):
        while done < n_steps:
            length = min(chunk, n_steps - done)
            state, found = advance_chunk(state, length)
            found = jax.device_get(found)
            _require_finite(found, is_kept)
            done += length
            metrics = _named_metrics(found) | jax.device_get(measure(state))
            history = _append(history, done, metrics)
            save = partial(checkpoints.save if checkpoints else _lose, done, state, history)
            is_kept = save(now=done >= n_steps) or is_kept
            try:
                report(done, metrics)
            except BaseException:
                save(now=True)
                raise
    return state, history


def _lose(step: int, state: PyTree, history: History, now: bool = False) -> bool:
    return False


def _first_step(state: PyTree) -> int:
    """The step of a state whose members, if there are several, go in lockstep."""
    states = jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, State))
    return int(np.max([np.max(np.asarray(s.step)) for s in states]))


def _named_chunks(report: PyTree) -> dict[str, Chunk]:
    paths = jax.tree.leaves_with_path(report, is_leaf=lambda c: isinstance(c, Chunk))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): chunk
        for path, chunk in paths
    }


def _named_metrics(report: PyTree) -> dict[str, np.ndarray]:
    return {
        f"{name}/{metric}" if name else metric: np.asarray(value)
        for name, chunk in _named_chunks(report).items()
        for metric, value in chunk.metrics.items()
    }


def _append(history: History, step: int, metrics: dict[str, np.ndarray]) -> History:
    rows = {name: value[None] for name, value in metrics.items()}
    old = history.metrics or {name: row[:0] for name, row in rows.items()}
    joined = {name: np.concatenate([old[name], row]) for name, row in rows.items()}
    return History(np.append(history.step, step), joined)


def _require_finite(report: PyTree, is_kept: bool) -> None:
    for name, chunk in _named_chunks(report).items():
        bad = chunk.bad_step >= 0
        if not np.any(bad):
            continue
        of = f" of {name}" if name else ""
        members = f" (members {np.argwhere(bad)[:5].tolist()})" if np.ndim(bad) else ""
        kept = "; the last good checkpoint is kept" if is_kept else ""
        raise NonFiniteLossError(
            f"the loss{of} became NaN or infinite at step "
            f"{np.min(chunk.bad_step[bad])}{members}{kept}; expected finite numbers: "
            "lower the learning rate or look for NaN in the data"
        )
