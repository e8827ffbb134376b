"""The README's program runs as written and finds the features; its facts are true."""

import re
from pathlib import Path

import pytest

from experiments.harness.command import catalogue

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.slow
def test_the_program_runs_as_written(capsys):
    program = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(program, "README.md", "exec"), {})
    line = re.search(r"^mcc_dec +([\d.]+) +([\d.]+) +1.000$", capsys.readouterr().out, re.M)
    value, floor = float(line[1]), float(line[2])
    assert value > 0.95
    assert floor < 0.45


def test_every_experiment_is_in_the_table_with_its_minutes():
    for name, experiment in catalogue().items():
        row = re.search(rf"^\| `python -m experiments {name}` \|.*$", README, re.M)
        assert row, f"{name} is missing"
        assert f"| {experiment.minutes:g} |" in row[0]


def test_pictures_and_files_exist():
    root = Path(__file__).parents[1]
    for target in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (root / target).is_file()
    for target in re.findall(r"`([\w/]+\.(?:md|py))`", README):
        assert (root / target).is_file()
