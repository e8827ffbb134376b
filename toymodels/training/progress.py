"""Progress of long work: one moving line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np

_BAR = 24


class Progress:
    """Callable with `(step, metrics)`; shows share, rate, remaining time and metrics.

    Args:
        name: what is running.
        total: the last step.
        unit: what a step counts.
        show: names of metrics to print, as the mean over members.
        every: seconds between two plain lines when the stream is no terminal.
        stream: where to write; standard error by default.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str = "steps",
        show: tuple[str, ...] = ("loss",),
        every: float = 10.0,
        stream: TextIO | None = None,
    ):
        self.name, self.total, self.unit = name, total, unit
        self.show, self.every = show, every
        self.stream = sys.stderr if stream is None else stream
        self.started = self.last_line = time.monotonic()
        self.first_step: int | None = None

    def __call__(self, step: int, metrics: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self.first_step is None:
            self.first_step, self.first_seen = step, now
        finished = step >= self.total
        if self.stream.isatty():
            self.stream.write("\r" + self._line(step, metrics, now) + "\x1b[K")
            self.stream.write("\n" if finished else "")
        elif finished or now - self.last_line >= self.every:
            self.last_line = now
            self.stream.write(self._line(step, metrics, now) + "\n")
        self.stream.flush()

    def _line(self, step: int, metrics: Mapping[str, Any], now: float) -> str:
        filled = _BAR * step // self.total
        bar = "█" * filled + "·" * (_BAR - filled)
        values = "".join(
            f"  {name} {np.mean(metrics[name]):.4g}"
            for name in self.show
            if name in metrics
        )
        if step >= self.total:
            pace = f"{now - self.started:.1f} s"
        elif now > self.first_seen and self.first_step is not None:
            rate = (step - self.first_step) / (now - self.first_seen)
            pace = f"{rate:,.0f} {self.unit}/s, {(self.total - step) / rate:.0f} s left"
        else:
            pace = "compiled"
        return f"{self.name} {bar} {step:,}/{self.total:,} {self.unit}, {pace}{values}"
