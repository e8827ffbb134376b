"""What an experiment is, and the job it is given."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from experiments.harness import interrupts
from experiments.harness.records import Check
from toymodels.training.checkpoints import DirectoryCheckpoints, saved_below
from toymodels.training.progress import Progress


@dataclass(frozen=True)
class Result:
    """What an experiment found.

    Attributes:
        metrics: plain numbers and lists.
        arrays: what the figures draw.
        checks: each with its band and source.
        table: lines printed at the end.
    """

    metrics: dict[str, Any]
    arrays: Mapping[str, np.ndarray]
    checks: list[Check]
    table: list[str]


@dataclass(frozen=True)
class Experiment:
    """One question put to the library.

    Attributes:
        name: what it is called on the command line.
        question: one sentence.
        source: the paper, or what the bands rest on.
        minutes: of the default size on two CPU cores.
        settings: the default size; a frozen dataclass.
        quick: the same at a size that ends within a minute on two cores.
        run: `(settings, seed, job) -> Result`.
        figures: modules of `figures`, each with `draw(record, arrays)`, or, for a page of
            several pictures, with `write(record, arrays, path)`.
        expect: what the figures show when all is well, for a reader who compares them
            with the published ones.
    """

    name: str
    question: str
    source: str
    minutes: float
    settings: Any
    quick: Any
    run: Callable[[Any, int, "Job"], Result]
    figures: tuple[ModuleType, ...]
    expect: str = ""


@dataclass
class Job:
    """Where an experiment works: its directory, its progress lines, its clock.

    Attributes:
        directory: of the record; checkpoints live below it until the run is done.
        signature: tells apart checkpoints of other settings or seeds.
        seconds: stage to wall-clock time, filled by `stage`.
    """

    directory: Path
    signature: str
    seconds: dict[str, float] = field(default_factory=dict)

    def progress(
        self, name: str, total: int, show: tuple[str, ...] = ("loss",)
    ) -> Progress:
        """A progress line for a stage of `total` steps; a signal ends the stage there."""
        interrupts.check()
        return StageProgress(name, total, show=show, stream=sys.stderr)

    def checkpoints(self, name: str) -> DirectoryCheckpoints:
        """Where a stage saves its state about every half minute and at its end."""
        return DirectoryCheckpoints(
            self.checkpoint_root / self.signature / name, seconds=30
        )

    @property
    def checkpoint_root(self) -> Path:
        return self.directory / "checkpoints"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage."""
        interrupts.check()
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        interrupts.check()

    def resumes(self, stop: interrupts.Interrupted) -> str:
        """From where the same run would go on; empty when nothing is saved."""
        own = self.checkpoint_root / self.signature
        saved = saved_below(own)
        if not saved:
            is_part_done = own.is_dir() and any(own.iterdir())
            return "after what is finished" if is_part_done else ""
        newest = saved[-1]
        if stop.step == int(newest.name):
            return f"{stop.stage} at step {stop.step:,} of {stop.total:,}"
        return f"{newest.parent.relative_to(own)} at step {int(newest.name):,}"

    def clear(self) -> None:
        """Removes the checkpoints of this run; those of other settings stay."""
        shutil.rmtree(self.checkpoint_root / self.signature, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.checkpoint_root.rmdir()


class StageProgress(Progress):
    """Between two reports signals wait: a run that ends at a report is saved first."""

    def begin(self, step: int = 0, resumed: bool = False) -> None:
        interrupts.check()
        interrupts.wait(True)
        super().begin(step, resumed)

    def __call__(self, step: int, metrics: Mapping[str, Any]) -> None:
        super().__call__(step, metrics)
        interrupts.check(self.name, step, self.total)

    def close(self) -> None:
        super().close()
        interrupts.wait(False)
