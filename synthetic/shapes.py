"""What worlds and weights print: shapes and dtypes in place of digits."""

import dataclasses
from typing import Any

from synthetic.validation import concrete

_SHOWN = 6  # digits of a number


def of_fields(self: Any) -> str:
    """`Name(field=float32[64, 32], number=0.1)`, nested, for `__repr__` of a pytree.

    Takes dataclasses and named tuples. Arrays become dtype and shape, single numbers their
    value where it is known; anything else prints as it does by itself.
    """
    return _named(self)


def _named(value: Any) -> str:
    if hasattr(value, "_fields"):
        names = value._fields
    else:
        names = [field.name for field in dataclasses.fields(value) if field.repr]
    inner = ", ".join(f"{name}={_short(getattr(value, name))}" for name in names)
    return f"{type(value).__name__}({inner})"


def _short(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        known = concrete(value) if value.shape == () else None
        if known is not None and known.dtype.kind in "fiub":
            return f"{known.item():.{_SHOWN}g}"
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, float):
        return f"{value:.{_SHOWN}g}"
    is_class = isinstance(value, type)
    if not is_class and (dataclasses.is_dataclass(value) or hasattr(value, "_fields")):
        return _named(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_short(v)}" for name, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_short, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return repr(value)
