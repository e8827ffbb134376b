"""The whole paper: one page, every check, and no work done twice."""

from pathlib import Path

import numpy as np
import pytest

from experiments.harness.catalogue import catalogue
from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.superposition import whole_paper
from figures.recovery import training_curves


def stub(name, value, runs):
    def run(settings, seed, job):
        runs.append(name)
        return Result({}, {"x": np.zeros(1)}, [Check("v", value, 0.0, 1.0, "a & b")], [])

    return Experiment(
        name=name,
        question=f"Is <{name}> so?",
        source="nobody",
        minutes=0,
        settings=whole_paper.Settings(),
        quick=whole_paper.Settings(),
        run=run,
        figures=(),
        expect="Nothing.",
    )


@pytest.fixture
def runs(monkeypatch):
    runs = []
    known = {"good": stub("good", 0.5, runs), "bad": stub("bad", 2.0, runs)}
    monkeypatch.setattr(whole_paper, "catalogue", lambda: known)
    return runs


def test_the_page_holds_every_check_with_its_verdict(runs, tmp_path):
    settings = whole_paper.Settings(names=("good", "bad"))
    result = whole_paper.run(settings, 0, Job(tmp_path, "s"))
    assert [(c.name, c.value, c.passed) for c in result.checks] == [
        ("good: v", 0.5, True),
        ("bad: v", 2.0, False),
    ]
    text = (tmp_path / "page.html").read_text()
    assert "1 of 2 checks passed" in text
    assert "Is &lt;good&gt; so?" in text
    assert "a &amp; b" in text
    assert text.count('class="fail"') == text.count('class="pass"') == 1
    assert "1 of 1" in result.table[0]
    assert "0 of 1" in result.table[1]


def test_a_check_with_nothing_measured_is_a_failed_line_of_the_page(monkeypatch, tmp_path):
    known = {"empty": stub("empty", None, [])}
    monkeypatch.setattr(whole_paper, "catalogue", lambda: known)
    settings = whole_paper.Settings(names=("empty",))
    (check,) = whole_paper.run(settings, 0, Job(tmp_path, "s")).checks
    assert not check.passed
    assert 'class="fail"' in (tmp_path / "page.html").read_text()


def test_an_interrupted_run_keeps_what_it_finished(runs, tmp_path):
    whole_paper.run(whole_paper.Settings(names=("good",)), 0, Job(tmp_path, "s"))
    both = whole_paper.Settings(names=("good", "bad"))
    whole_paper.run(both, 0, Job(tmp_path, "s"))
    assert runs == ["good", "bad"]
    whole_paper.run(both, 0, Job(tmp_path, "another seed"))
    assert runs == ["good", "bad", "good", "bad"]


def test_unknown_names_are_refused_before_any_work(runs, tmp_path):
    settings = whole_paper.Settings(names=("good", "fig8"))
    with pytest.raises(ValueError, match="names holds 'fig8', expected experiments that"):
        whole_paper.run(settings, 0, Job(tmp_path, "s"))
    assert not runs


def test_every_part_of_the_paper_exists_and_says_what_it_should_show():
    known = catalogue()
    for name in whole_paper.PAPER:
        assert known[name].figures
        assert len(known[name].expect) > 40


def test_pictures_are_named_as_they_are_saved():
    assert whole_paper.name_of(training_curves) == "training_curves"
    assert Path(training_curves.__file__).stem == "training_curves"
