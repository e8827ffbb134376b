"""What `NAME --help` prints: an experiment's question, its docstring and its settings."""

import dataclasses
import inspect
import re
import sys
import textwrap
from typing import Any

from experiments.harness.experiment import Experiment


def describe(experiment: Experiment) -> str:
    """Everything that a reader needs before running `experiment`."""
    module = sys.modules[experiment.run.__module__]
    size = f"{experiment.minutes:g} minutes on two cores; --quick ends in about one"
    story = inspect.getdoc(module) or ""
    question = [] if experiment.question in story else [experiment.question, ""]
    return "\n".join(
        [
            f"usage: python -m experiments {experiment.name} [--quick] [--seed N] "
            "[--out DIR] [--set FIELD=VALUE] [--check]",
            "",
            *question,
            story,
            "",
            f"Source: {experiment.source}",
            f"Size: {size}",
            "",
            "Settings, each changed by --set FIELD=VALUE:",
            *_settings(experiment),
        ]
    )


def _settings(experiment: Experiment) -> list[str]:
    documented = _documented(type(experiment.settings))
    lines = []
    for field in dataclasses.fields(experiment.settings):
        value = getattr(experiment.settings, field.name)
        quick = getattr(experiment.quick, field.name)
        small = f"   (--quick: {quick!r})" if quick != value else ""
        lines.append(f"  {field.name} = {value!r}{small}")
        if field.name in documented:
            lines.append(f"      {documented[field.name]}")
    return lines


def _documented(settings: type[Any]) -> dict[str, str]:
    """What the class's docstring says of each field; what it says of several is put after
    the last of them, with their names.
    """
    _, _, fields = (inspect.getdoc(settings) or "").partition("Attributes:\n")
    text = re.sub(r"\n +", " ", textwrap.dedent(fields))
    found = {}
    for names, sentence in re.findall(r"^(\w+(?:, \w+)*): (.+)$", text, re.M):
        several = f"{names}: " if "," in names else ""
        found[names.split(", ")[-1]] = several + sentence
    return found
