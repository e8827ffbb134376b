"""The whole paper: every figure of "Toy Models of Superposition", one after another.

Runs each experiment below at its own size and leaves, beside their records, one page with
every figure next to what it should show, every check with its value, band and source, and
the seconds each took.

Run:     python -m experiments superposition            (with --quick: small sizes)
Takes:   about 14 minutes on two cores
Expect:  runs/superposition/page.html, and every check passed, but for one or two of
         `absolute_value` on some seeds: see there
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from experiments.harness import records, runner
from experiments.harness.catalogue import catalogue
from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import OneOf
from figures import page

PAPER = (
    "toy_intro",
    "superposition_by_sparsity",
    "dimensions_per_feature",
    "phase_diagram",
    "phase_diagram_three_features",
    "perturbed_feature",
    "correlated_features",
    "local_bases",
    "pca_or_superposition",
    "learning_dynamics",
    "privileged_basis",
    "absolute_value",
    "asymmetric_motif",
    "nonlinear_compression",
    "hidden_penalty",
)


@dataclass(frozen=True)
class Settings:
    """Attributes:
    names: the experiments, in the order of the page.
    quick: each at its quick size.
    """

    names: Annotated[tuple[str, ...], OneOf(catalogue)] = PAPER
    quick: bool = False


def run(settings: Settings, seed: int, job: Job) -> Result:
    known = catalogue()
    unknown = [name for name in settings.names if name not in known]
    if unknown:
        raise ValueError(
            f"names holds {unknown[0]!r}, expected experiments that exist; "
            "`python -m experiments` lists them"
        )
    sections = []
    for place, name in enumerate(settings.names, start=1):
        print(f"\n== {name} ({place} of {len(settings.names)})", flush=True)
        with job.stage(name):
            sections.append(section(known[name], settings.quick, seed, job))
    written = page.write(job.directory / "page.html", TITLE, sections)
    checks = [
        Check(f"{part['name']}: {c['name']}", c["value"], c["low"], c["high"], c["source"])
        for part in sections
        for c in part["checks"]
    ]
    seconds = {part["name"]: part["seconds"] for part in sections}
    return Result({"seconds": seconds}, {}, checks, [*table(sections), f"page: {written}"])


TITLE = "Toy models of superposition, figure by figure"


def section(experiment: Experiment, quick: bool, seed: int, job: Job) -> dict[str, Any]:
    """One part of the page; an experiment that an interrupted run finished is kept."""
    settings = experiment.quick if quick else experiment.settings
    directory = job.directory / experiment.name
    mark = job.checkpoint_root / job.signature / f"{experiment.name}.finished"
    if mark.exists():
        print(f"{experiment.name}: kept from the run that was interrupted", flush=True)
    else:
        runner.perform(experiment, settings, seed, directory)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    content, _ = records.read(directory)
    pictures = [name_of(figure) for figure in experiment.figures]
    return {
        "name": experiment.name,
        "question": experiment.question,
        "source": experiment.source,
        "expect": experiment.expect,
        "pictures": [str(Path(experiment.name) / f"{name}.png") for name in pictures],
        "checks": content["checks"],
        "seconds": content["seconds"]["total"],
        "device": content["device"],
    }


def name_of(figure: Any) -> str:
    """The file name, without its ending, that a figure is saved under."""
    return figure.__name__.rsplit(".", 1)[-1]


def table(sections: list[dict[str, Any]]) -> list[str]:
    """One line per experiment: checks passed, seconds."""
    lines = []
    for part in sections:
        passed = sum(check["passed"] for check in part["checks"])
        lines.append(
            f"{part['name']:<30} {passed:>3} of {len(part['checks']):<3} checks passed"
            f" {part['seconds']:>8.1f} s"
        )
    total = sum(part["seconds"] for part in sections)
    return [*lines, f"{'together':<30} {total:>34.1f} s"]


EXPERIMENT = Experiment(
    name="superposition",
    question="Does every figure of the superposition paper come out?",
    source="Elhage et al. 2022, all figures; each experiment names its own",
    minutes=14,
    settings=Settings(),
    quick=Settings(quick=True),
    run=run,
    figures=(),
)
