"""`docs/experiments.md`: every experiment with its question, its verdict and its minutes.

Questions come from the experiments themselves and verdicts from records, so nothing on the
page is written by hand. A record is read from FOLDER/NAME/record.json, as runs leave it, or
from FOLDER/NAME.json, the part of it that is kept with the code (`kept`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.harness.experiment import Experiment

ROOMS = {
    "recovery": "Which dictionary finds the features of which world?",
    "phenomena": "What goes wrong in dictionaries, each failure seen alone",
    "synthsaebench": "SynthSAEBench, and what its ranking is worth on other worlds",
    "superposition": 'Every figure of "Toy Models of Superposition" (Elhage et al. 2022)',
    "later_toy_models": "Later papers on toy models of superposition",
    "othello": "Transformers that play Othello",
    "maze": "Transformers that solve mazes",
}
_HEAD = """# Experiments

One line an experiment, made by `make docs` from docstrings and from the records in
`docs/records`. The verdict counts the checks of the record: each is a measured value
against a band from a paper, a closed form or a stated goal. A check that is not met is
named. The size says which settings were run: `quick` is the size that ends in about a
minute, at which bands may be wider. `python -m experiments NAME --help` shows an
experiment's settings and what to expect of its figures.
"""


def read(folder: Path, names: Mapping[str, Experiment]) -> dict[str, dict[str, Any]]:
    """The records of those experiments that have one in the folder."""
    found = {}
    for name in names:
        for path in (folder / f"{name}.json", folder / name / "record.json"):
            if path.is_file():
                found[name] = json.loads(path.read_text())
                break
    return found


def kept(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record is kept with the code: all but its metrics."""
    parts = (
        "name",
        "settings",
        "seed",
        "checks",
        "passed",
        "seconds",
        "versions",
        "device",
    )
    return {part: record[part] for part in parts if part in record}


def page(
    catalogue: Mapping[str, Experiment], records: Mapping[str, Mapping[str, Any]]
) -> str:
    """The whole page."""
    parts = [_HEAD]
    for room, title in ROOMS.items():
        own = [one for one in catalogue.values() if _room(one) == room]
        parts.append(f"## {title}\n")
        parts.append("| command | question | verdict | minutes |\n|---|---|---|---|")
        parts += [_row(one, records.get(one.name)) for one in own]
        parts.append("")
    return "\n".join(parts)


def _room(experiment: Experiment) -> str:
    return experiment.run.__module__.split(".")[1]


def _row(experiment: Experiment, record: Mapping[str, Any] | None) -> str:
    cells = (
        f"`python -m experiments {experiment.name}`",
        experiment.question.replace("|", "\\|"),
        "not run" if record is None else _verdict(experiment, record),
        f"{experiment.minutes:g}",
    )
    return f"| {' | '.join(cells)} |"


def _verdict(experiment: Experiment, record: Mapping[str, Any]) -> str:
    checks = record["checks"]
    missed = [check for check in checks if not check["passed"]]
    size = _size(experiment, record["settings"])
    met, all_of_them = len(checks) - len(missed), len(checks)
    text = f"{met} of {all_of_them} checks ({size}, seed {record['seed']})"
    if missed:
        told = "; ".join(
            f"{check['name']} = {check['value']:.3g}, {_band(check)}" for check in missed
        )
        text += f". Not met: {told}"
    return text.replace("|", "\\|")


def _band(check: Mapping[str, Any]) -> str:
    low, high = check["low"], check["high"]
    if low is None:
        return f"at most {high:.3g} wanted"
    if high is None:
        return f"at least {low:.3g} wanted"
    return f"{low:.3g} to {high:.3g} wanted"


def _size(experiment: Experiment, settings: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        return json.loads(json.dumps(vars(value), default=lambda one: vars(one)))

    sizes = {"default size": experiment.settings, "quick": experiment.quick}
    same = [name for name, size in sizes.items() if plain(size) == dict(settings)]
    return same[0] if same else "other settings"
