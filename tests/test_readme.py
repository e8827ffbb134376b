"""Programs of README and docs run as written, and what these pages say is true."""

import re
from pathlib import Path

import pytest

from experiments.harness.catalogue import catalogue

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def programs(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_program_finds_the_features(capsys):
    exec(compile(programs(ROOT / "README.md")[0], "README.md", "exec"), {})
    line = re.search(r"^mcc_dec +([\d.]+) +([\d.]+) +1.000$", capsys.readouterr().out, re.M)
    value, floor = float(line[1]), float(line[2])
    assert value > 0.95
    assert floor < 0.45


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if programs(p)], ids=lambda p: p.name)
def test_programs_run_in_the_order_of_their_page(page):
    """Those that need PyTorch are compiled alone where it is not installed."""
    names: dict = {}
    for program in programs(page):
        code = compile(program, page.name, "exec")
        if "import torch" not in program:
            exec(code, names)


def test_the_first_page_fits_a_screen_or_three():
    assert len(README.splitlines()) <= 120


def test_every_experiment_is_listed_with_its_minutes():
    listed = (ROOT / "docs" / "experiments.md").read_text()
    for name, experiment in catalogue().items():
        row = re.search(rf"^\| `python -m experiments {name}` \|.*$", listed, re.M)
        assert row, f"{name} is missing: make docs"
        assert f"| {experiment.minutes:g} |" in row[0], f"minutes of {name}: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_files_exist(page):
    text = page.read_text()
    for target in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (page.parent / target).is_file(), target
    for target in re.findall(
        r"`((?:docs|toymodels|synthetic|tests|benchmarks)/[\w/]+\.\w+)`", text
    ):
        assert (ROOT / target).is_file(), target
