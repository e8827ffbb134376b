"""Runs one experiment: its record, its figures, its checkpoints."""

import dataclasses
import hashlib
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.harness import interrupts, records
from experiments.harness.experiment import Experiment, Job, Result
from figures import style


def perform(
    experiment: Experiment, settings: Any, seed: int, directory: Path
) -> tuple[Result, records.Record, list[Path]]:
    """Runs `experiment` and leaves its record and figures in `directory`.

    Returns:
        What was found, the record, and every file that was written.

    Raises:
        Interrupted: a signal came before the record; it says what the same run resumes.
    """
    job = Job(directory, signature(experiment.name, settings, seed))
    records.remove_leftovers(directory)
    started = time.monotonic()
    try:
        result = experiment.run(settings, seed, job)
    except interrupts.Interrupted as stop:
        stop.resumes = stop.resumes or job.resumes(stop)
        raise
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
    with interrupts.waiting():
        path = records.write(directory, record, result.arrays)
        drawn = draw(experiment.figures, directory)
    job.clear()
    return result, record, [path, directory / records.ARRAYS, *drawn]


def signature(name: str, settings: Any, seed: int) -> str:
    """Tells apart runs of other experiments, settings or seeds."""
    return hashlib.sha256(f"{name} {settings!r} {seed}".encode()).hexdigest()[:12]


def draw(figures: tuple[ModuleType, ...], directory: Path) -> list[Path]:
    """Draws the figures of the record in `directory`, as PNG and SVG beside it.

    What does not fit into one picture is a module with `write` instead of `draw` alone: it
    leaves a page, and the pictures on it.
    """
    content, arrays = records.read(directory)
    paths = []
    for figure in figures:
        path = directory / figure.__name__.rsplit(".", 1)[-1]
        if hasattr(figure, "write"):
            paths += figure.write(content, arrays, path)
        else:
            paths += style.save(figure.draw(content, arrays), path)
    return paths
