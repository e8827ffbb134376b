"""Settings from the command line: parsed to the type of each field, and held to its range.

Ranges go by the names of fields, the same in every experiment: whole numbers are at least
1, densities and probabilities are shares, rates and sizes positive, other numbers not
negative, tuples not empty. A field that is otherwise says so where it is defined:

    site: Annotated[int, Within(0)] = 2
    variants: Annotated[tuple[str, ...], OneOf(lambda: VARIANTS), MAY_BE_EMPTY] = ()
"""

import ast
import dataclasses
import difflib
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from toymodels.pretrained import PRESETS

MAY_BE_EMPTY = "may be empty"
_LARGEST = {int: 2**31 - 1, float: 3.4e38}  # of int32 and float32
_SHOWN = 60  # characters of a value in a message
_LISTED, _CLOSE = 30, 3  # names that a message lists at most, and those it guesses at


class SettingError(ValueError):
    """A setting is unknown, of another type or out of its range."""


class Within(NamedTuple):
    """A range of numbers, ends included but for the lower one of a `positive` range."""

    low: float = -math.inf
    high: float = math.inf
    positive: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.positive else value >= self.low
        return above and value <= self.high and abs(value) <= _LARGEST[type(value)]

    def __str__(self) -> str:
        if self.high < math.inf:
            low = f"above {self.low:g}" if self.positive else f"from {self.low:g}"
            return f"a number {low} to {self.high:g}"
        if self.low == -math.inf:
            return "a finite number of float32"
        return f"a number {'above' if self.positive else 'of at least'} {self.low:g}"


class OneOf(NamedTuple):
    """Names that a setting chooses from; a function, so that they may be defined later."""

    names: Callable[[], Iterable[str]]

    def holds(self, value: str) -> bool:
        return value in self.names()

    def __str__(self) -> str:
        names = list(self.names())
        if len(names) > _LISTED:
            return f"one of {len(names)} names like {', '.join(names[:_CLOSE])}"
        return f"one of {', '.join(names)}"


POSITIVE = Within(0, positive=True)
PROBABILITY = Within(0, 1)
MAZE_PLAYER = OneOf(lambda: [name for name in PRESETS if name.startswith("maze")])
OTHELLO_PLAYER = OneOf(lambda: [name for name in PRESETS if name.startswith("othello")])
_COUNT = Within(1)
_CONVENTIONS = (
    ("weight_decay", Within(0)),
    ("inverse_densit", Within(1)),
    ("densit|probabilit|chance|ramp", Within(0, 1, positive=True)),
    ("decay|warm_up", Within(0, 1)),
    ("rate|scale|size|norm|clip|l0|^ks?$|importance|ratio|target", POSITIVE),
    ("", Within(0)),
)


def override(settings: Any, assignments: Sequence[str]) -> Any:
    """`settings` with each "field=value" put in, values of the field's own type.

    Raises:
        SettingError: a field is unknown or a value does not parse to the field's type.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    changed = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            first = next(iter(fields))
            raise SettingError(
                f'--set was given "{shortened(assignment)}", expected field=value; for '
                f"example --set {first}={getattr(settings, first)!r}"
            )
        if name not in fields:
            raise SettingError(
                f'there is no setting "{shortened(name)}"; '
                f"{did_you_mean(name, fields, 'NAME --help lists the settings')}"
            )
        changed[name] = _parse(fields[name], text, getattr(settings, name))
    return dataclasses.replace(settings, **changed)


def require_valid(settings: Any) -> None:
    """Raises SettingError when a value is out of its field's range."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        _, element, declared = _kind(field, value)
        if value == () and MAY_BE_EMPTY not in declared:
            raise SettingError(
                f"setting {field.name} is empty, expected at least one value; leave it out "
                "for the default"
            )
        expected = _expected(field.name, element, declared)
        for one in value if isinstance(value, tuple) else (value,):
            if expected is not None and not expected.holds(one):
                raise SettingError(
                    f"setting {field.name} {'holds' if value is not one else 'is'} "
                    f"{shortened(repr(one))}, expected {expected}; such as "
                    f"{_default(field)!r}"
                )


def did_you_mean(name: str, known: Iterable[str], where: str) -> str:
    """The names close to `name`, and where to find all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=_CLOSE)
    close += [other for other in known if name and name in other and other not in close]
    if not close:
        return where
    names = " or ".join(f'"{other}"' for other in close[:_CLOSE])
    return f"did you mean {names}? ({where})"


def shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _parse(field: dataclasses.Field, text: str, current: Any) -> Any:
    kind, element, _ = _kind(field, current)
    try:
        value = text if kind is str else _literal(text)
        if kind is not tuple:
            return _of_type(value, kind)
        values = value if isinstance(value, (tuple, list)) else (value,)
        return tuple(_of_type(one, element) for one in values)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError):
        example = current or _default(field)
        raise SettingError(
            f'setting {field.name} cannot be "{shortened(text)}", expected '
            f"{_named(kind, element)}{f' like {example!r}' if example != () else ''}; "
            "check the spelling"
        ) from None


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.literal_eval(text)


def _of_type(value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _named(kind: type, element: type) -> str:
    return f"tuple of {element.__name__}" if kind is tuple else kind.__name__


def _kind(field: dataclasses.Field, current: Any) -> tuple[type, type, tuple[Any, ...]]:
    """The type of a field, that of its elements if it is a tuple, and its declarations."""
    annotation: Any = field.type
    declared: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        declared = tuple(rest)
    if (get_origin(annotation) or annotation) is not tuple:
        return annotation, annotation, declared
    if get_args(annotation):
        return tuple, get_args(annotation)[0], declared
    kinds = {type(one) for one in (*current, *_default(field))}
    return tuple, float if float in kinds else kinds.pop(), declared


def _default(field: dataclasses.Field) -> Any:
    return field.default


def _expected(name: str, kind: type, declared: tuple[Any, ...]) -> Within | OneOf | None:
    for one in declared:
        if isinstance(one, (Within, OneOf)):
            return one
    if kind is int:
        return _COUNT
    if kind is not float:
        return None
    return next(range_ for pattern, range_ in _CONVENTIONS if re.search(pattern, name))
