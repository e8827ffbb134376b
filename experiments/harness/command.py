"""The command line of the experiments."""

import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import about, interrupts, markdown, records, runner
from experiments.harness.catalogue import catalogue
from experiments.harness.experiment import Experiment, Result
from experiments.harness.settings import did_you_mean, override, require_valid, shortened
from toymodels.training.checkpoints import CheckpointMismatchError
from toymodels.training.loop import NonFiniteLossError

USAGE_ERROR, CHECK_FAILED, INTERRUPTED, CLOSED_PIPE = 2, 1, 130, 141
_SEEDS = 2**32  # a key holds no more; larger ones would repeat smaller ones


class CommandError(ValueError):
    """The command's words do not fit; the message says what would."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    try:
        with interrupts.handled():
            status = _dispatch(_parser().parse_args(arguments))
            sys.stdout.flush()
            return status
    except (CommandError, records.RecordError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (NonFiniteLossError, CheckpointMismatchError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return CHECK_FAILED
    except BrokenPipeError:
        _close_stdout()
        return CLOSED_PIPE
    except interrupts.Interrupted as stop:
        print(_interrupted(stop), file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _dispatch(options: argparse.Namespace) -> int:
    if options.redraw is not None:
        return _redraw(options)
    if options.markdown is not None:
        return _markdown(options)
    if options.help:
        return _help(options.name)
    if options.name is None:
        _require_default(options, "no name was given", "name an experiment")
        return _list()
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description="Runs an experiment, writes its record and draws its figures. Without "
        "a name it lists all of them.",
        add_help=False,
    )
    parser.add_argument("name", nargs="?", help="which experiment")
    parser.add_argument(
        "-h", "--help", action="store_true", help="with a name: its question and settings"
    )
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
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the page of all experiments, verdicts from --out (docs/records)",
    )
    return parser


def _markdown(options: argparse.Namespace) -> int:
    known = catalogue()
    found = markdown.read(options.out or Path("docs/records"), known)
    options.markdown.write_text(markdown.page(known, found))
    print(f"{options.markdown}: {len(known)} experiments, {len(found)} with a record")
    return 0


def _list() -> int:
    for experiment in catalogue().values():
        print(f"{experiment.name}  ({experiment.minutes:g} min on two cores)")
        print(f"    {experiment.question}\n    {experiment.source}")
    return 0


def _help(name: str | None) -> int:
    print(_parser().format_help() if name is None else about.describe(_find(name)))
    return 0


def _run(options: argparse.Namespace) -> int:
    experiment = _find(options.name)
    if not 0 <= options.seed < _SEEDS:
        raise CommandError(
            f"--seed is {shortened(str(options.seed))}, expected a number from 0 to "
            f"{_SEEDS - 1}; larger seeds would repeat smaller ones"
        )
    settings = experiment.quick if options.quick else experiment.settings
    settings = override(settings, options.set)
    require_valid(settings)
    directory = options.out or Path("runs") / experiment.name
    records.require_same(directory, experiment.name, settings, options.seed)
    records.require_writable(directory)
    result, record, paths = runner.perform(experiment, settings, options.seed, directory)
    _print(result, record, paths)
    if not record.passed and settings != experiment.settings:
        print(f"\n{_size(experiment, settings)}")
    return CHECK_FAILED if options.check and not record.passed else 0


def _size(experiment: Experiment, settings: Any) -> str:
    """Says which size the bands of the checks are for."""
    own, default = dataclasses.asdict(settings), dataclasses.asdict(experiment.settings)
    changed = [f"{k}={own[k]!r} ({default[k]!r})" for k in own if own[k] != default[k]]
    return (
        "a check failed, and the bands are for the default size: this run has "
        f"{', '.join(changed)}, with the defaults in brackets; "
        f"`python -m experiments {experiment.name}` runs that size"
    )


def _find(name: str) -> Experiment:
    known = catalogue()
    if name in known:
        return known[name]
    where = f"`python -m experiments` lists all {len(known)}"
    raise CommandError(
        f'there is no experiment "{shortened(name)}"; {did_you_mean(name, known, where)}'
    )


def _require_default(options: argparse.Namespace, why: str, fix: str) -> None:
    """Raises CommandError when an option was given that would have no effect."""
    given = [
        option
        for option in ("quick", "seed", "out", "set", "check")
        if getattr(options, option) != _parser().get_default(option)
    ]
    if given:
        raise CommandError(f"--{given[0]} has no effect where {why}; {fix} or leave it out")


def _redraw(options: argparse.Namespace) -> int:
    directory = options.redraw
    _require_default(options, "a record is redrawn", "give --redraw by itself")
    content, _ = records.read(directory)
    if options.name not in (None, content["name"]):
        raise CommandError(
            f'{directory} holds a record of "{content["name"]}", and the name given with '
            f'--redraw is "{shortened(options.name)}"; leave the name out'
        )
    for path in runner.draw(_find(content["name"]).figures, directory):
        print(path)
    return 0


def _interrupted(stop: interrupts.Interrupted) -> str:
    if stop.resumes:
        return f"interrupted; the same command resumes {stop.resumes}"
    return "interrupted; nothing was saved, so the same command starts from the beginning"


def _close_stdout() -> None:
    """Lets Python's own flush at exit write into nothing."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


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
