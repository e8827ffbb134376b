"""Every check of every experiment, fed what is wrong and what is empty.

A run that goes well passes all. Then the measured numbers are replaced, one array or list
or number at a time: each check must fail for one of the wrong ones at least, no band may
move with them, and no check that rests on a number may pass when it is NaN or empty.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
import pytest

from experiments.harness.catalogue import catalogue
from experiments.harness.records import Check
from tests.experiments.measured import CASES, OPTIMUM, Case
from toymodels.superposition.exact import expected_loss

COMPOSED = {"superposition"}  # its checks are those of its parts


def first(by: float) -> Callable[[np.ndarray], np.ndarray]:
    """Adds to the first number alone."""

    def change(x):
        x = x.astype(float)
        x.reshape(-1)[:1] += by
        return x

    return change


def last(by: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: first(by)(x.reshape(-1)[::-1].copy())[::-1].reshape(x.shape)


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zero": np.zeros_like,
    "negative": np.negative,
    "far above": lambda x: x + 10,
    "far below": lambda x: x - 10,
    "above": lambda x: x + 0.4,
    "below": lambda x: x - 0.4,
    "ten times": lambda x: 10 * x,
    "reversed": lambda x: x[::-1] if x.ndim else -x,
    "first above": first(10),
    "first below": first(-10),
    "last above": last(10),
    "last below": last(-10),
}


# What settings and closed forms give, not the run.
GIVEN = {
    "alpha",
    "density",
    "norm_alone",
    "penalty",
    "size",
    "slope_of_ideal",
    "targets",
    "trained_ratio",
}


def is_numbers(node: Any) -> bool:
    """An array, a number, or a list of numbers or of such lists, all of one length."""
    if isinstance(node, (np.ndarray, np.number, jax.Array)):
        return np.asarray(node).dtype.kind in "fiu"
    if isinstance(node, (list, tuple)) and len(node) > 0 and not hasattr(node, "_fields"):
        lengths = {len(x) if isinstance(x, (list, tuple)) else 0 for x in node}
        return len(lengths) == 1 and all(is_numbers(x) for x in node)
    return type(node) in (int, float)


def leaves(node: Any, path: tuple) -> Iterator[tuple]:
    """Where the numbers are; settings, which are no pytrees here, have none."""
    if path[1:2] and path[1] in GIVEN:
        return
    if is_numbers(node):
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from leaves(value, (*path, i))


def measured_numbers(case: Case) -> Iterator[tuple]:
    for i, node in enumerate(case.args):
        if i not in case.given:
            yield from leaves(node, (i,))


def at(node: Any, path: tuple) -> Any:
    for step in path:
        node = node[step]
    return node


def replaced(node: Any, path: tuple, new: Any) -> Any:
    """The same with another value at one place."""
    if not path:
        return new
    step, *rest = path
    if isinstance(node, dict):
        return node | {step: replaced(node[step], tuple(rest), new)}
    items = list(node)
    items[step] = replaced(items[step], tuple(rest), new)
    if hasattr(node, "_fields"):
        return type(node)(*items)
    return type(node)(items)


def like(node: Any, values: np.ndarray) -> Any:
    """As the kind of thing that it takes the place of."""
    if isinstance(node, (np.ndarray, jax.Array)):
        return values
    if isinstance(node, (list, tuple)):
        return type(node)(values.tolist())
    return values.item() if values.ndim == 0 else values


def outcome(make: Callable, args: tuple) -> dict[str, Check]:
    """Name to check; none where the arguments are refused."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return {check.name: check for check in make(*args)}
    except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError, StopIteration):
        return {}


class Trial(NamedTuple):
    """What a case's checks say of other numbers in one place.

    Attributes:
        path: of the place.
        wrong: for each change of WRONG.
        empty: for numbers that are not there, or NaN.
    """

    path: tuple
    wrong: list[dict[str, Check]]
    empty: list[dict[str, Check]]


def nothing(values: np.ndarray) -> list[np.ndarray]:
    """No values, and NaN where they are no counts."""
    found = [values[:0]] if values.ndim else []
    return [*found, np.full(values.shape, np.nan)] if values.dtype.kind == "f" else found


def tried(case: Case, path: tuple) -> Trial:
    node = at(case.args, path)
    values = np.array(node)

    def says(new: np.ndarray) -> dict[str, Check]:
        return outcome(case.make, replaced(case.args, path, like(node, new)))

    return Trial(
        path,
        [says(change(values)) for change in WRONG.values()],
        [says(empty) for empty in nothing(values)],
    )


@functools.cache
def trials(name: str) -> list[tuple[dict[str, Check], list[Trial]]]:
    """Of each case: what its checks say when all is well, and of each change."""
    optimum = mock.patch.object(expected_loss, "optimum", lambda n, *_: OPTIMUM[n])
    with optimum:  # takes seconds, and is tested elsewhere
        return [
            (
                outcome(case.make, case.args),
                [tried(case, path) for path in measured_numbers(case)],
            )
            for case in CASES[name]()
        ]


def failing(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if not check.passed}


def test_every_experiment_with_checks_takes_part():
    assert set(CASES) | COMPOSED == set(catalogue())


every_experiment = pytest.mark.parametrize("experiment", sorted(CASES))


@every_experiment
def test_a_run_in_which_all_is_well_passes(experiment):
    for right, _ in trials(experiment):
        assert right
        assert failing(right) == set()


@every_experiment
def test_every_check_fails_for_some_wrong_number(experiment):
    for right, changes in trials(experiment):
        seen = {
            name for trial in changes for found in trial.wrong for name in failing(found)
        }
        assert sorted(right.keys() - seen) == []


@every_experiment
def test_no_band_moves_with_what_was_measured(experiment):
    """Else a number that is wrong takes the band along."""
    for right, changes in trials(experiment):
        moved = {
            (name, trial.path)
            for trial in changes
            for found in trial.wrong
            for name in right.keys() & found.keys()
            if band(found[name]) != band(right[name])
        }
        assert sorted(map(str, moved)) == []


def band(check: Check) -> tuple[float | None, float | None]:
    return check.low, check.high


@every_experiment
def test_no_check_passes_when_what_it_rests_on_is_empty_or_nan(experiment):
    for right, changes in trials(experiment):
        passed = set()
        for trial in changes:
            rests = {
                name
                for found in trial.wrong
                for name in right.keys() & found.keys()
                if found[name].value != right[name].value
            }
            for found in trial.empty:
                passed |= {
                    (name, trial.path) for name in rests & (found.keys() - failing(found))
                }
        assert sorted(map(str, passed)) == []
