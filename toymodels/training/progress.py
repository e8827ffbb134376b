"""Progress of long work: a bar on a terminal or in a notebook, else a few plain lines."""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import numpy as np
from tqdm.auto import tqdm

Report = Callable[[int, dict[str, Any]], None]
Choice = Report | bool | None

_PLAIN = (
    "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} "
    "[{elapsed}<{remaining}, {rate_fmt}{postfix}]"
)


class Progress:
    """Callable with `(step, metrics)`; shows share, rate, remaining time and metrics.

    The rate is that of the steps after the first report, which has compilation in it.

    Args:
        name: what is running.
        total: the last step.
        unit: what a step counts, in the singular.
        show: names of metrics to print, as the mean over members.
        every: seconds between two plain lines where the stream has no room for a bar.
        stream: where to write; standard error by default.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str = "step",
        show: tuple[str, ...] = ("loss",),
        every: float = 10.0,
        stream: TextIO | None = None,
    ):
        self.name, self.total, self.unit = name, total, unit
        self.show, self.every = show, every
        self.stream = sys.stderr if stream is None else stream
        self._first: tuple[int, float] | None = None
        self._bar: _Bar | None = None
        self._started = self._last_line = time.monotonic()

    def begin(self, step: int = 0, resumed: bool = False) -> None:
        """Shows that work begins after `step`, which a checkpoint `resumed` or not."""
        self._first = None
        self._started = self._last_line = time.monotonic()
        if resumed:
            self._say_resumed(step)
        if step < self.total and has_room_for_a_bar(self.stream):
            self._bar = _Bar(
                total=self.total,
                initial=step,
                desc=self.name,
                unit=self.unit,
                file=self.stream,
                nrows=20,  # a terminal that does not know its height would hide the bar
            )

    def __call__(self, step: int, metrics: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
        first_step, first_seen = self._first
        rate = (step - first_step) / (now - first_seen) if now > first_seen else 0.0
        values = ", ".join(
            f"{name} {np.mean(metrics[name]):.4g}" for name in self.show if name in metrics
        )
        if self._bar is not None:
            self._bar.pace = rate
            self._bar.set_postfix_str(values, refresh=False)
            self._bar.update(step - self._bar.n)
            if step >= self.total:
                self.close()
        elif step >= self.total or now - self._last_line >= self.every:
            self._last_line = now
            self._write(self._line(step, now - self._started, rate, values))

    def close(self) -> None:
        """Leaves the bar as it is, and what follows to the next line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say_resumed(self, step: int) -> None:
        if step < self.total:
            self._write(f"resuming {self.name} at step {step:,} of {self.total:,}")
        else:
            self._write(f"{self.name}: all {step:,} {self.unit}s are kept from before")

    def _line(self, step: int, elapsed: float, rate: float, values: str) -> str:
        return tqdm.format_meter(
            step,
            self.total,
            elapsed,
            prefix=self.name,
            unit=self.unit,
            rate=rate,
            bar_format=_PLAIN,
            postfix=values,
        )

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")
        self.stream.flush()


class _Bar(tqdm):
    """A bar whose rate is given and not measured from its first moment."""

    pace = 0.0

    @property
    def format_dict(self) -> dict[str, Any]:
        shown = super().format_dict
        # Nor does such a terminal know its width, and gives 0 or less.
        width = shown["ncols"] or 0
        return {**shown, "rate": self.pace, "ncols": width if width > 0 else None}


def reporter(choice: Choice, name: str, total: int, unit: str = "step") -> Report:
    """What a function with the argument `progress` reports to.

    Args:
        choice: a function of `(step, metrics)` is taken as it is; True is a `Progress`,
            False is silence, and None a `Progress` on a terminal or in a notebook, and
            silence in a pipe or under pytest.
        name, total, unit: of the `Progress`.
    """
    if callable(choice):
        return choice
    if choice is None:
        is_test = "PYTEST_CURRENT_TEST" in os.environ
        choice = not is_test and has_room_for_a_bar(sys.stderr)
    return Progress(name, total, unit) if choice else _silence


def _silence(step: int, metrics: dict[str, Any]) -> None:
    pass


def parts(choice: Choice, name: str, total: int, unit: str = "part") -> Callable[[], None]:
    """A function to call after each of `total` parts of some work."""
    report, done = reporter(choice, name, total, unit), itertools.count(1)
    if isinstance(report, Progress):
        report.begin()
    return lambda: report(next(done), {})


@contextlib.contextmanager
def following(report: Report, step: int = 0, resumed: bool = False) -> Iterator[None]:
    """Tells a `Progress` when the work begins and ends, and other functions nothing."""
    if not isinstance(report, Progress):
        yield
        return
    report.begin(step, resumed)
    try:
        yield
    finally:
        report.close()


def has_room_for_a_bar(stream: TextIO | None) -> bool:
    """Whether a line on `stream` can be written again: on a terminal or in a notebook."""
    if stream is None:
        return False
    in_notebook = stream in (sys.stdout, sys.stderr) and _is_notebook()
    return stream.isatty() or in_notebook


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config
