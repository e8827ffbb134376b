"""What an experiment is, and the job it is given."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from experiments.harness.records import Check
from toymodels.training.checkpoints import DirectoryCheckpoints
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
        figures: modules of `figures`, each with `draw(record, arrays)`.
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
        """A progress line for a stage of `total` steps."""
        return Progress(name, total, show=show, stream=sys.stderr)

    def checkpoints(self, name: str) -> DirectoryCheckpoints:
        """Where a long stage saves its state about every half minute."""
        return DirectoryCheckpoints(
            self.checkpoint_root / self.signature / name, seconds=30
        )

    @property
    def checkpoint_root(self) -> Path:
        return self.directory / "checkpoints"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
