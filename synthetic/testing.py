"""The conformance check of a world: what any dictionary, loop or score relies on.

    testing.check(world, jax.random.key(0))

passes in silence, or raises an AssertionError that says what came, what was expected and
the likely fix. It needs no pytest, so run it on a world of your own.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from synthetic.base import Batch, GroundTruth
from synthetic.validation import require_key


def check(
    world: GroundTruth,
    key: Key[Array, ""],
    batch_size: int = 8,
    other: GroundTruth | None = None,
    rtol: float = 1e-5,
) -> None:
    """Raises AssertionError unless `world` keeps the contract of `GroundTruth`.

    Args:
        world: any object with `n_features`, `d_model` and `sample`; its `directions` and
            `do` are checked where it has them. With `n_positions`, samples are sequences
            [batch, time, ...].
        key: decides every sample that is drawn.
        batch_size: raised until it differs from both widths, so that swapped axes show.
        other: a second world of the same shapes, every number different. By default
            `world` with its float arrays rolled along their last axis and its float
            scalars halved, which keeps rows unit and probabilities in [0, 1].
        rtol: allowed difference, relative to the largest entry, where one computation is
            done in two ways. Sums of thousands of float32 terms taken in another order
            agree to about 1e-6; a deep network may need more.
    """
    require_key("key", key)
    _check_protocol(world)
    _check_static_fields(world)
    if other is None:
        other = _changed(world)
    while batch_size in (world.n_features, world.d_model):
        batch_size += 1
    with jax.debug_key_reuse(True), jax.default_matmul_precision("highest"):
        keys = list(jax.random.split(key))
        batches = [_sample(world, k, batch_size) for k in keys]
        _check_batch(world, batches[0], batch_size)
        _check_deterministic(world, keys[0], batches[0])
        _check_key_matters(batches)
        _check_one_trace(world, other, keys[0], batches[0], rtol)
        _check_vmap(world, other, keys, batches, rtol)
        if getattr(world, "directions", None) is not None:
            _check_directions(world)
        if hasattr(world, "do"):
            _check_do(world, keys[0], batches[0], rtol)


def _require(condition: Any, came: str, expected: str, fix: str) -> None:
    if not condition:
        raise AssertionError(f"{came}, expected {expected}; {fix}")


def _attempt(what: str, function: Callable, fix: str) -> Any:
    """What `function` returns; its exception is told as a failure of the check."""
    try:
        return function()
    except jax.errors.KeyReuseError as error:
        raise AssertionError(
            f"{what} used one key for two draws, expected one draw a key; split it into "
            "as many keys as there are draws"
        ) from error
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise AssertionError(
            f"{what} raised {type(error).__name__} ({reason}), expected no exception; {fix}"
        ) from error


def _sample(world: Any, key: Key[Array, ""], batch_size: int) -> Batch:
    return _attempt(
        "sample",
        lambda: world.sample(jax.random.clone(key), batch_size),
        "sample(key, batch_size) takes a key and an int and nothing else",
    )


def _require_close(
    what: str, got: Batch, expected: Batch, like: str, rtol: float, fix: str
) -> None:
    """Both parts of two batches agree up to `rtol` of the largest expected entry."""
    for name in ("x", "features"):
        a, b = np.asarray(getattr(got, name)), np.asarray(getattr(expected, name))
        _require(
            a.shape == b.shape,
            f"{name} of {what} has shape {a.shape}",
            f"{b.shape} as from {like}",
            fix,
        )
        scale = np.max(np.abs(b), initial=0, where=np.isfinite(b))
        close = np.isclose(a, b, rtol=0, atol=rtol * scale, equal_nan=True)
        _require(
            close.all(),
            f"{name} of {what} differs from {like} by {_largest(a[~close], b[~close])}",
            f"at most {rtol * scale:.1e}",
            fix,
        )


def _largest(a: np.ndarray, b: np.ndarray) -> str:
    """The largest difference of two arrays, which may hold nothing or NaN."""
    return f"{np.max(np.abs(a - b), initial=0):.1e}"


def _check_protocol(world: Any) -> None:
    for name in ("n_features", "d_model", "sample"):
        _require(
            hasattr(world, name),
            f"{type(world).__name__} has no {name}",
            "n_features, d_model and sample",
            "add it (synthetic.base.GroundTruth)",
        )
    for name in ("n_features", "d_model"):
        size = getattr(world, name)
        _require(
            isinstance(size, int) and size > 0,
            f"{name} is {size!r}",
            "a positive int",
            "take it from the shape of an array or from a static field",
        )
    leaves = jax.tree.leaves(world)
    _require(
        not any(leaf is world for leaf in leaves),
        f"{type(world).__name__} is no pytree",
        "one",
        "decorate its class with flax.struct.dataclass",
    )


def _check_static_fields(node: Any) -> None:
    """A float changes no shape, so a static one only makes every change a new trace."""
    if not dataclasses.is_dataclass(node):
        return
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        static = not field.metadata.get("pytree_node", True)
        static = static or field.metadata.get("static", False)
        _require(
            not (static and isinstance(value, float | np.ndarray | jax.Array)),
            f"the static field {field.name} of {type(node).__name__} is a "
            f"{type(value).__name__}",
            "a leaf",
            "only what changes shapes is static, a change of anything else retraces",
        )
        _check_static_fields(value)


def _changed(world: Any) -> Any:
    def change(leaf):
        if isinstance(leaf, float):
            return leaf / 2
        if not jnp.issubdtype(getattr(leaf, "dtype", int), jnp.floating):
            return leaf
        return jnp.roll(leaf, 1, axis=-1) if jnp.ndim(leaf) else leaf / 2

    return _attempt(
        "changing the leaves of the world",
        lambda: jax.tree.map(change, world),
        "pass `other`, a second valid world of the same shapes",
    )


def _check_batch(world: GroundTruth, batch: Any, batch_size: int) -> None:
    for name, width in (("x", world.d_model), ("features", world.n_features)):
        _require(
            hasattr(batch, name),
            f"sample returned a {type(batch).__name__} without {name}",
            "x and features",
            "return a synthetic.Batch",
        )
        part = getattr(batch, name)
        _require(
            isinstance(part, jax.Array | np.ndarray),
            f"{name} is a {type(part).__name__}",
            "an array",
            "return arrays of jax.numpy in the Batch",
        )
        length = getattr(world, "n_positions", None)
        time = () if length is None else (length,)
        _require(
            part.shape == (batch_size, *time, width),
            f"{name} has shape {part.shape}",
            f"{(batch_size, *time, width)}",
            "rows are samples, in a world with n_positions sequences; columns are "
            + ("dimensions" if name == "x" else "features"),
        )
        _require(
            jnp.issubdtype(part.dtype, jnp.floating),
            f"{name} has dtype {part.dtype}",
            "a floating dtype",
            "convert it in sample",
        )
        _require(
            jnp.isfinite(part).all(),
            f"{name} holds NaN or infinity",
            "finite numbers",
            "look for 0/0, log 0 or an overflow in sample",
        )


def _check_deterministic(world: Any, key: Key[Array, ""], batch: Batch) -> None:
    again = _sample(world, key, len(batch.x))
    for name in ("x", "features"):
        a, b = np.asarray(getattr(again, name)), np.asarray(getattr(batch, name))
        _require(
            np.array_equal(a, b),
            f"{name} differs by {_largest(a, b)} between two calls with one key",
            "equal samples",
            "draw everything from `key`, nothing from global or stored state",
        )


def _check_key_matters(batches: list[Batch]) -> None:
    first, second = batches
    _require(
        not np.array_equal(first.x, second.x),
        "two different keys gave the same x",
        "different samples",
        "use `key` in sample, or raise batch_size if features rarely fire",
    )
    _require(
        not np.array_equal(first.features, second.features),
        "two different keys gave the same features",
        "different samples",
        "use `key` in sample, or raise batch_size if features rarely fire",
    )
    _require(
        len(first.x) == 1 or (np.asarray(first.x) != np.asarray(first.x[0])).any(),
        "all rows of a batch are equal",
        "independent samples",
        "draw arrays of batch_size rows instead of repeating one draw",
    )


def _check_one_trace(
    world: Any, other: Any, key: Key[Array, ""], batch: Batch, rtol: float
) -> None:
    traces = 0

    @jax.jit
    def sample(world, key):
        nonlocal traces
        traces += 1
        return world.sample(key, len(batch.x))

    fix = "use no Python control flow on numbers and no NumPy function in sample"
    clone = jax.random.clone
    jitted = _attempt("sample under jax.jit", lambda: sample(world, clone(key)), fix)
    _require_close("sample under jax.jit", jitted, batch, "eager", rtol, fix)
    _attempt("sample of a changed world", lambda: sample(other, clone(key)), fix)
    _require(
        traces == 1,
        f"jax.jit traced sample {traces} times for two worlds of one shape",
        "one trace",
        "make every number that changes no shape a leaf instead of a static field, of "
        "the same dtype in both worlds",
    )


def _check_vmap(
    world: Any, other: Any, keys: list[Key[Array, ""]], batches: list[Batch], rtol: float
) -> None:
    """[world, key] in one program against one by one, after each axis on its own."""
    batch_size = len(batches[0].x)
    worlds = _attempt(
        "stacking two worlds",
        lambda: jax.tree.map(lambda *leaves: jnp.stack(leaves), world, other),
        "let its constructor accept leaves with a leading axis",
    )
    # The outer clone is for the key reuse checker, which takes stacked keys as spent.
    stack = jax.random.clone(jnp.stack([jax.random.clone(key) for key in keys]))

    def sample(world: Any, key: Key[Array, ""]) -> Batch:
        return world.sample(key, batch_size)

    over_keys, over_worlds = jax.vmap(sample, (None, 0)), jax.vmap(sample, (0, None))
    _attempt(
        "sample under jax.vmap over keys",
        lambda: jax.eval_shape(over_keys, world, stack),
        "use jax.numpy and jax.random throughout sample",
    )
    _attempt(
        "sample under jax.vmap over a stack of two worlds",
        lambda: jax.eval_shape(over_worlds, worlds, keys[0]),
        "index axes from the end, branch on numbers with jnp.where, and check values "
        "only where they are known",
    )
    mapped = jax.jit(jax.vmap(over_keys, (0, None)))(worlds, stack)
    singles = [batches, [_sample(other, key, batch_size) for key in keys]]
    for i, row in enumerate(singles):
        for j, single in enumerate(row):
            _require_close(
                f"sample under jax.vmap (world {i}, key {j})",
                Batch(mapped.x[i, j], mapped.features[i, j]),
                single,
                "that world and key on their own",
                rtol,
                "index axes from the end and let no leaf broadcast against the batch",
            )


def _check_directions(world: Any) -> None:
    directions, shape = world.directions, (world.n_features, world.d_model)
    _require(
        np.shape(directions) == shape,
        f"directions has shape {np.shape(directions)}",
        f"{shape}",
        "directions are rows, one a feature",
    )
    length = np.linalg.norm(np.asarray(directions, np.float64), axis=-1)
    # A float32 row divided by its float32 norm is within d_model * 6e-8 of unit length,
    # and in practice within 1e-6.
    wrong = (np.abs(length - 1) > 1e-5) & (length != 0)
    _require(
        not wrong.any(),
        f"direction {np.argmax(wrong)} has length {length[np.argmax(wrong)]:.6g}",
        "1 (or a row of zeros)",
        "pass directions.unit_rows(rows) and put the scale into the features",
    )


def _check_do(world: Any, key: Key[Array, ""], batch: Batch, rtol: float) -> None:
    """Switches the first feature off and forces the last one to 1.5."""
    for feature, value in ((0, 0.0), (world.n_features - 1, 1.5)):
        what = f"do(feature={feature}, value={value:g})"
        forced = _attempt(
            what,
            lambda f=feature, v=value: world.do(jax.random.clone(key), len(batch.x), f, v),
            "its arguments are (key, batch_size, feature, value)",
        )
        features = batch.features.at[..., feature].set(value)
        x = forced.x
        if getattr(world, "directions", None) is not None:
            moved = (features - batch.features)[..., feature]
            x = batch.x + moved[..., None] * world.directions[feature]
        _require_close(
            what,
            forced,
            Batch(x, features),
            "sample, that feature set and x moved along its direction by the change",
            rtol,
            "draw with the keys of sample, set the one column, and embed again",
        )
