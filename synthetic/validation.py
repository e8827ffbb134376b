"""Checks at the public edge: one sentence saying what came, what was expected, the fix.

Values inside a traced function are unknown, so each check looks only at values that are
concrete (Python and NumPy numbers, arrays outside `jit`) and lets tracers pass.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def concrete(value: Any) -> np.ndarray | None:
    """`value` as a NumPy array, or None where its numbers are not known yet."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, jax.Array):
        if value.is_deleted() or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return None
        return np.asarray(value)
    if isinstance(value, (bool, int, float, list, tuple, np.ndarray, np.generic)):
        return np.asarray(value)
    return None


def require_probability(name: str, value: Any) -> None:
    """Raises ValueError unless every known entry of `value` lies in [0, 1]."""
    known = concrete(value)
    if known is None:
        return
    bad = known[~((known >= 0) & (known <= 1))]
    if bad.size:
        raise ValueError(
            f"{name} holds {bad.flat[0]:g}, expected probabilities in [0, 1]; "
            "check the units (a density of 5 % is 0.05)"
        )


def require_range(
    name: str, value: Any, low: float = -np.inf, high: float = np.inf, fix: str = ""
) -> None:
    """Raises ValueError unless every known entry of `value` is in [low, high]."""
    known = concrete(value)
    if known is None:
        return
    bad = known[~((known >= low) & (known <= high))]
    if bad.size:
        hint = f"; {fix}" if fix else ""
        raise ValueError(
            f"{name} is {bad.flat[0]:g}, expected a number in [{low:g}, {high:g}]{hint}"
        )


def require_whole(name: str, value: Any) -> None:
    """Raises ValueError when a known value is of a type that may hold fractions."""
    known = concrete(value)
    if known is not None and not np.issubdtype(known.dtype, np.integer):
        raise ValueError(
            f"{name} is {known.flat[0]} ({known.dtype}), expected a whole number; give an "
            "int or an array of integers"
        )


def require_no_fraction(name: str, value: Any, fix: str) -> None:
    """Raises ValueError unless every known entry of `value` is whole, of whatever type."""
    known = concrete(value)
    if known is None:
        return
    bad = known[known != np.floor(known)]
    if bad.size:
        raise ValueError(f"{name} is {bad.flat[0]:g}, expected a whole number; {fix}")


def require_key(name: str, value: Any) -> None:
    """Raises TypeError unless `value` is one random key."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if value.shape == ():
            return
        came = f"keys of shape {value.shape}"
    elif dtype == np.uint32 and isinstance(value, jax.Array) and value.ndim == 1:
        return  # as `jax.random.PRNGKey` makes them
    else:
        is_number = isinstance(value, int | float)
        came = repr(value) if is_number else f"a {type(value).__name__}"
    raise TypeError(
        f"{name} is {came}, expected one random key; write synthetic.random.key(0)"
    )


def require_width(name: str, received: int, expected: int, fix: str) -> None:
    """Raises ValueError unless two sizes agree."""
    if received != expected:
        raise ValueError(f"{name} is {received}, expected {expected}; {fix}")


def require_finite(name: str, value: Any) -> None:
    """Raises ValueError when a known entry of `value` is NaN or infinite."""
    known = concrete(value)
    if known is None:
        return
    bad = ~np.isfinite(known)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {known[first]} at index {first}, expected finite numbers; "
            "drop or repair these rows first"
        )
