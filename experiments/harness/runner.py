"""Runs one experiment: its record, its figures, its checkpoints."""

import dataclasses
import hashlib
import shutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.harness import records
from experiments.harness.experiment import Experiment, Job, Result
from figures import style


def perform(
    experiment: Experiment, settings: Any, seed: int, directory: Path
) -> tuple[Result, records.Record, list[Path]]:
    """Runs `experiment` and leaves its record and figures in `directory`.

    Returns:
        What was found, the record, and every file that was written.
    """
    job = Job(directory, signature(experiment.name, settings, seed))
    started = time.monotonic()
    result = experiment.run(settings, seed, job)
    seconds = job.seconds | {"total": round(time.monotonic() - started, 2)}
    record = records.Record(
        name=experiment.name,
        settings=dataclasses.asdict(settings),
        seed=seed,
        metrics=result.metrics,
        checks=result.checks,
        seconds=seconds,
        versions=records.versions(),
        device=records.device(),
    )
    path = records.write(directory, record, result.arrays)
    shutil.rmtree(job.checkpoint_root, ignore_errors=True)
    drawn = draw(experiment.figures, directory)
    return result, record, [path, directory / records.ARRAYS, *drawn]


def signature(name: str, settings: Any, seed: int) -> str:
    """Tells apart runs of other experiments, settings or seeds."""
    return hashlib.sha256(f"{name} {settings!r} {seed}".encode()).hexdigest()[:12]


def draw(figures: tuple[ModuleType, ...], directory: Path) -> list[Path]:
    """Draws the figures of the record in `directory`, as PNG and SVG beside it."""
    content, arrays = records.read(directory)
    return [
        path
        for figure in figures
        for path in style.save(
            figure.draw(content, arrays), directory / figure.__name__.rsplit(".", 1)[-1]
        )
    ]
