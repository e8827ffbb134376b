"""Calls of a dictionary's methods whose failures say what each should return."""

from collections.abc import Callable
from typing import Any

import jax

_CALLED = {
    "init": "init(key, d_model)",
    "memory": "memory(params)",
    "encode": "encode(params, x)",
    "decode": "decode(params, z)",
    "loss": "loss(params, x, memory, step)",
    "after": "after(key, state, x)",
}
RETURNS = {
    "init": "the weights, a pytree of arrays",
    "memory": "what the loss carries on, () for nothing",
    "encode": "latents [batch, n_latents]",
    "decode": "reconstructions [batch, d_model]",
    "loss": "a pair (number, Outcome(metrics, memory))",
    "after": "the state, unchanged where nothing is to follow a step",
}


def require_methods(dictionary: Any) -> None:
    """Raises AssertionError unless it is an instance with `n_latents` and all methods."""
    name = type(dictionary).__name__
    require(
        not isinstance(dictionary, type),
        f"the dictionary is the class {getattr(dictionary, '__name__', '')}, expected an "
        "instance; write Name(n_latents=12)",
    )
    n_latents = getattr(dictionary, "n_latents", None)
    require(
        isinstance(n_latents, int) and n_latents > 0,
        f"n_latents of {name} is {n_latents!r}, expected a positive int; make it a static "
        "field",
    )
    for method, returns in RETURNS.items():
        require(
            callable(getattr(dictionary, method, None)),
            f"{name} has no method {method}, expected {returns}; see "
            "toymodels.sae.Dictionary",
        )


def result_of(name: str, method: Callable, *given: Any, traced: bool = True) -> Any:
    """What a method returns, compiled where `traced`.

    Raises:
        AssertionError: it failed; told with how it is called and what it should return.
    """
    fix = f"it is called as {_CALLED[name]}"
    called = jax.jit(method) if traced else method
    return attempt(name, called, given, fix, RETURNS[name])


def attempt(
    what: str, function: Callable, given: tuple, fix: str, expected: str = "no exception"
) -> Any:
    """What `function` returns; its exception is told as a failure of the check."""
    try:
        return function(*given)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AssertionError(
            f"{what} raised {type(error).__name__} ({reason}), expected {expected}; {fix}"
        ) from error


def shape_of(output: Any) -> tuple | None:
    """The shape of an array, None of what is none."""
    return getattr(output, "shape", None)


def described(output: Any) -> str:
    """What came, in words: a shape, a pair of two, a type."""
    if shape_of(output) is not None:
        return f"shape {output.shape}"
    if isinstance(output, tuple) and not hasattr(output, "_fields"):
        if len(output) == 2:
            return f"a pair of {described(output[0])} and {described(output[1])}"
        return f"a tuple of {len(output)}"
    return "nothing" if output is None else f"a {type(output).__name__}"


def require(holds: bool, sentence: str) -> None:
    """Raises AssertionError with the sentence unless it holds."""
    if not holds:
        raise AssertionError(sentence)
