"""The command line of the experiments."""

import argparse
import ast
import dataclasses
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import records, runner
from experiments.harness.catalogue import catalogue
from experiments.harness.experiment import Experiment, Result
from toymodels.training.checkpoints import CheckpointMismatchError
from toymodels.training.loop import NonFiniteLossError

USAGE_ERROR, CHECK_FAILED, INTERRUPTED = 2, 1, 130


class CommandError(ValueError):
    """The command's words do not fit; the message says what would."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.redraw is not None:
            return _redraw(options.redraw)
        if options.name is None:
            return _list()
        return _run(options)
    except (CommandError, records.RecordError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (NonFiniteLossError, CheckpointMismatchError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return CHECK_FAILED
    except KeyboardInterrupt:
        print(
            "interrupted; the same command resumes from the newest checkpoint",
            file=sys.stderr,
        )
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description="Runs an experiment, writes its record and draws its figures. Without "
        "a name it lists all of them.",
    )
    parser.add_argument("name", nargs="?", help="which experiment")
    parser.add_argument("--quick", action="store_true", help="a size that ends in a minute")
    parser.add_argument("--seed", type=int, default=0, help="of all keys (default 0)")
    parser.add_argument("--out", type=Path, help="where to write (default runs/NAME)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a setting"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit status 1 when a check of the record fails",
    )
    parser.add_argument(
        "--redraw", type=Path, metavar="DIR", help="redraw a record's figures"
    )
    return parser


def _list() -> int:
    for experiment in catalogue().values():
        print(f"{experiment.name}  ({experiment.minutes:g} min on two cores)")
        print(f"    {experiment.question}\n    {experiment.source}")
    return 0


def _run(options: argparse.Namespace) -> int:
    experiment = _find(options.name)
    settings = experiment.quick if options.quick else experiment.settings
    settings = override(settings, options.set)
    directory = options.out or Path("runs") / experiment.name
    records.require_writable(directory)
    result, record, paths = runner.perform(experiment, settings, options.seed, directory)
    _print(result, record, paths)
    return CHECK_FAILED if options.check and not record.passed else 0


def _find(name: str) -> Experiment:
    known = catalogue()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else "`python -m experiments` lists them"
    raise CommandError(
        f'there is no experiment "{name}", expected one of {", ".join(known)}; {hint}'
    )


def override(settings: Any, assignments: Sequence[str]) -> Any:
    """`settings` with each "field=value" put in, values of the field's own type.

    Raises:
        CommandError: a field is unknown or a value does not parse to the field's type.
    """
    fields = {
        field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)
    }
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise CommandError(
                f'--set was given "{assignment}", expected field=value; for example '
                f"--set {next(iter(fields))}={next(iter(fields.values()))!r}"
            )
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "; check the spelling"
            raise CommandError(
                f'there is no setting "{name}", expected one of {", ".join(fields)}{hint}'
            )
        fields[name] = _parse(name, text, fields[name])
    return type(settings)(**fields)


def _parse(name: str, text: str, default: Any) -> Any:
    try:
        value = text if isinstance(default, str) else ast.literal_eval(text)
        if isinstance(default, tuple):
            value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default):
            raise ValueError
    except (ValueError, SyntaxError):
        raise CommandError(
            f'setting {name} cannot be "{text}", expected {type(default).__name__} like '
            f"{default!r}; check the spelling"
        ) from None
    return value


def _redraw(directory: Path) -> int:
    content, _ = records.read(directory)
    for path in runner.draw(_find(content["name"]).figures, directory):
        print(path)
    return 0


def _print(result: Result, record: records.Record, paths: Sequence[Path]) -> None:
    print("\n".join(result.table))
    print("\nchecks")
    for check in record.checks:
        low = "-inf" if check.low is None else f"{check.low:.5g}"
        high = "inf" if check.high is None else f"{check.high:.5g}"
        mark = "pass" if check.passed else "FAIL"
        print(f"  {mark}  {check.name} = {check.value:.5g} in [{low}, {high}]")
        print(f"        {check.source}")
    stages = ", ".join(f"{name} {spent:.1f} s" for name, spent in record.seconds.items())
    print(f"\n{stages} on {record.device}\n")
    print("\n".join(f"  {path}" for path in paths))
