"""The page of all experiments: what it says of a record, and that it is up to date."""

import json
from pathlib import Path

import pytest

from experiments.harness import command, markdown
from experiments.harness.catalogue import catalogue

ROOT = Path(__file__).parents[3]
CHECK = {"name": "mcc_dec", "value": 0.9, "low": 0.97, "high": None, "source": "stated"}


@pytest.fixture
def record():
    met = CHECK | {"name": "l0 | true", "low": 0.5, "passed": True}
    return {
        "name": "hedging",
        "settings": {},
        "seed": 3,
        "checks": [CHECK | {"passed": False}, met],
        "passed": False,
        "metrics": {"large": [0.0]},
    }


def test_a_row_counts_checks_and_names_those_that_are_not_met(record):
    page = markdown.page(catalogue(), {"hedging": record})
    (row,) = [line for line in page.splitlines() if "experiments hedging`" in line]
    assert "1 of 2 checks (other settings, seed 3)" in row
    assert "Not met: mcc_dec = 0.9, at least 0.97 wanted" in row
    assert row.count(" | ") == 3
    assert "not run" in page


def test_every_experiment_has_one_row_in_one_section():
    page = markdown.page(catalogue(), {})
    for name in catalogue():
        assert page.count(f"`python -m experiments {name}`") == 1
    assert page.count("\n## ") == len(markdown.ROOMS)


def test_records_are_read_from_runs_and_from_what_is_kept(record, tmp_path):
    (tmp_path / "hedging").mkdir()
    (tmp_path / "hedging" / "record.json").write_text(json.dumps(record))
    kept = markdown.kept(record)
    assert "metrics" not in kept
    (tmp_path / "absorption.json").write_text(json.dumps(kept | {"name": "absorption"}))
    found = markdown.read(tmp_path, catalogue())
    assert set(found) == {"hedging", "absorption"}
    assert found["hedging"] == record


def test_the_page_in_docs_is_the_one_that_the_command_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert command.main(["--markdown", str(tmp_path / "page.md")]) == 0
    written = (tmp_path / "page.md").read_text()
    assert written == (ROOT / "docs" / "experiments.md").read_text(), "make docs"
