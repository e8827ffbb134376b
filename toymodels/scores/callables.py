"""Dictionaries of any framework, given as two callables on arrays."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.stored.foreign import as_numpy


class Compiled:
    """A function with its first arguments that is compiled already.

    Attributes:
        function: jitted, of the arguments and one array.
        arguments: the same for every call; pytrees.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]):
        self.function, self.arguments = function, arguments

    def __call__(self, array: Any) -> Any:
        return self.function(*self.arguments, array)


class WithForward:
    """A `decode` that knows the `forward` of the module it belongs to.

    Attributes:
        decode: [batch, latent] -> [batch, d_model]; calling this calls it.
        forward: [batch, d_model] -> every array that the module's `forward` returns.
    """

    def __init__(
        self, decode: Callable[[Any], Any], forward: Callable[[Any], list[np.ndarray]]
    ):
        self.decode, self.forward = decode, forward

    def __call__(self, z: Any) -> Any:
        return self.decode(z)


def callable_on_arrays(
    function: Callable[[Any], Any], example: Any, name: str = "encode"
) -> Callable:
    """`function` compiled where JAX can trace it, else called with NumPy arrays.

    Numbers other than float32 and float64 (booleans, integers, half precision) come back
    as float32. What is traced twice with two outcomes draws random numbers of its own: it
    is called with NumPy arrays too.

    Raises:
        TypeError: `function` is none; or, when called, it fails with NumPy arrays.
    """
    if not callable(function):
        raise TypeError(
            f"{name} is a {type(function).__name__}, expected a function of one array; "
            "give a pair of functions, (encode, decode)"
        )
    inner = function.decode if isinstance(function, WithForward) else function
    if isinstance(inner, Compiled):
        return inner

    @jax.jit
    def compiled(array):
        return jax.tree.map(_real, function(array))

    def called(array):
        return _called(name, function, array)

    return compiled if _traceable(function, jnp.asarray(example)) else called


def _traceable(function: Callable[[Any], Any], example: Any) -> bool:
    try:
        first, second = (jax.make_jaxpr(lambda x: function(x))(example) for _ in range(2))
    except Exception:  # what a tracer makes other code raise depends on that code
        return False
    pairs = zip(first.consts, second.consts, strict=False)
    return all(one is other or np.array_equal(one, other) for one, other in pairs)


def _called(name: str, function: Callable[[Any], Any], array: Any) -> Any:
    given = np.array(array)
    try:
        output = function(given)
        if isinstance(output, tuple | list | dict) or output is None:
            return output
        output = as_numpy(output)
    except (TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise TypeError(
            f"{name} raised {type(error).__name__} ({reason}) for a NumPy array of shape "
            f"{given.shape}, expected one row for each of its rows; make callables on "
            "arrays of a module by toymodels.scores.adapters.adapt(module)"
        ) from error
    return _real(output)


def _real(array: Any) -> Any:
    dtype = getattr(array, "dtype", None)
    kept = dtype is None or dtype.kind in "cOSU" or dtype in (np.float32, np.float64)
    return array if kept else array.astype(np.float32)


def differs_when_repeated(encode: Callable[[Any], Any], x: Any) -> float:
    """The share of samples whose codes differ between two calls with the same batch."""
    first, second = (np.asarray(encode(x)) for _ in range(2))
    moved = np.abs(second - first) > 1e-4 * max(np.abs(first).max(initial=0), 1e-12)
    return float(moved.any(axis=1).mean())


def decoder_rows(
    decode: Callable[[Any], Any], n_latents: int, key: Key[Array, ""]
) -> Float[np.ndarray, "latent d_model"]:
    """Row i is decode(e_i) - decode(0), exact for an affine decoder.

    Raises:
        ValueError: `decode` is not affine, so it has no rows to compare with directions;
            or it does not return one finite row per sample.
    """

    def decoded(z):
        x_hat = decode(z)
        if getattr(x_hat, "ndim", None) != 2 or x_hat.shape[0] != len(z):
            raise ValueError(
                f"decode returned {_came(x_hat)} for {len(z)} rows of latents, "
                f"expected [{len(z)}, d_model]; return one reconstruction per row"
            )
        _require_numbers("decode", "reconstructions", x_hat)
        return np.asarray(x_hat)

    origin = decoded(jnp.zeros((1, n_latents), jnp.float32))
    rows = decoded(jnp.eye(n_latents, dtype=jnp.float32)) - origin
    z = jax.random.uniform(key, (8, n_latents), jnp.float32)
    x_hat = decoded(z)
    moved, affine = x_hat - origin, np.asarray(z) @ rows
    gap = np.abs(moved - affine).max() / max(np.abs(affine).max(), 1e-12)
    if not gap < 1e-2 and _is_half(x_hat):
        raise ValueError(
            f"decode gives half precision, whose rounding bends it by {gap:.1%} of the "
            "rows, expected float32; convert the weights first (module.float())"
        )
    if not gap < 1e-2:
        raise ValueError(
            f"decode(z) differs from its affine form z W + b by {gap:.1%}, expected an "
            "affine decoder; the directions of a curved one cannot be scored"
        )
    return rows


def _is_half(values: np.ndarray) -> bool:
    """Whether every number is one of half precision, in either format."""
    with np.errstate(over="ignore"):
        return any(
            np.array_equal(values, values.astype(dtype).astype(values.dtype))
            for dtype in (np.float16, jnp.bfloat16)
        )


def require_codes(z: Any, batch_size: int) -> None:
    if getattr(z, "ndim", None) != 2 or z.shape[0] != batch_size:
        raise ValueError(
            f"encode returned {_came(z)} for {batch_size} samples, expected "
            f"[{batch_size}, n_latents]; return one row of latents per sample"
        )
    _require_numbers("encode", "latents", z)


def _came(output: Any) -> str:
    if hasattr(output, "shape"):
        return f"shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"


def _require_numbers(name: str, what: str, array: Any) -> None:
    if array.dtype.kind in "cOSU":
        raise ValueError(
            f"{name} returned dtype {array.dtype}, expected real numbers; return "
            f"{what} as float32"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} returned NaN or infinite values, expected finite {what}; look for "
            "NaN in the weights"
        )
