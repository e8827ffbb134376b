"""Progress on a terminal, in a pipe and by default."""

import contextlib
import io
import re

import pytest

from synthetic import random
from toymodels.sae import TopK, fit
from toymodels.scores import score
from toymodels.training import progress
from toymodels.training.progress import Progress, following, reporter


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_terminal_gets_one_line_rewritten_with_rate_and_remaining_time(clock):
    stream = Terminal()
    report = Progress("fit", 100, show=("loss",), stream=stream)
    with following(report):
        for step in (25, 50, 100):
            clock.now += 5
            report(step, {"loss": [1.0, 3.0]})
    text = stream.getvalue()
    assert text.startswith("\rfit:   0%")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    last = text.split("\r")[-1]
    assert re.search(r"100/100 \[.*, +7.50step/s, loss 2\]", last)


def test_the_first_chunk_is_compilation_and_left_out_of_the_rate(clock):
    """100 seconds to compile and make 10 steps; 10 more in each second that follows."""
    stream = io.StringIO()
    report = Progress("fit", 100, every=0, stream=stream)
    with following(report):
        for step, clock.now in ((10, 100.0), (20, 101.0), (30, 102.0)):
            report(step, {})
    first, second, third = stream.getvalue().splitlines()
    assert "?step/s" in first
    for line, left in ((second, "00:08"), (third, "00:07")):
        assert "10.00step/s" in line
        assert f"<{left}" in line
    assert "[01:42<" in third


def test_a_pipe_gets_few_plain_lines_and_always_the_last(clock):
    stream = io.StringIO()
    report = Progress("fit", 1000, stream=stream)
    with following(report):
        for step in range(1, 1001):
            clock.now += 1 / 32
            report(step, {"loss": 0.5})
    lines = stream.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == [
        "320/1000",
        "640/1000",
        "960/1000",
        "1000/1000",
    ]
    assert "\r" not in stream.getvalue()
    assert "loss 0.5" in lines[-1]


def test_metrics_that_are_missing_are_left_out():
    stream = io.StringIO()
    Progress("fit", 10, show=("loss", "l0"), stream=stream)(10, {"l0": 2.5})
    assert "l0 2.5" in stream.getvalue()
    assert "loss" not in stream.getvalue()


def test_an_error_leaves_the_cursor_on_a_line_of_its_own():
    stream = Terminal()
    report = Progress("fit", 100, stream=stream)
    with contextlib.suppress(ArithmeticError), following(report):
        report(10, {})
        raise ArithmeticError
    assert stream.getvalue().endswith("\n")


def test_by_default_it_is_shown_on_a_terminal_and_not_in_a_pipe_or_a_test(monkeypatch):
    for stream, in_a_test, shown in (
        (Terminal(), False, True),
        (io.StringIO(), False, False),
        (Terminal(), True, False),
        (None, False, False),
    ):
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
        if in_a_test:
            monkeypatch.setenv("PYTEST_CURRENT_TEST", "this one")
        assert isinstance(reporter(None, "fit", 10), Progress) is shown


def test_a_function_is_called_and_silence_is_silent(capsys):
    seen = []
    reporter(lambda step, metrics: seen.append(step), "fit", 10)(10, {})
    reporter(False, "fit", 10)(10, {})
    assert seen == [10]
    assert capsys.readouterr().err == ""


def test_a_fit_shows_its_progress_when_asked(easy_world, capsys):
    for asked in (True, False):
        fit(random.key(0), TopK(8, k=1), easy_world, 20, 64, chunk=10, progress=asked)
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(":")[0] for line in lines] == ["training"] * asked


@pytest.mark.parametrize(
    ("pursuit_samples", "passes"),
    [(0, 7), pytest.param(2048, 11, marks=pytest.mark.slow)],
)
def test_the_passes_of_a_score_are_counted_to_the_last(
    easy_world, capsys, pursuit_samples, passes
):
    """A dictionary, its four controls, one more and the intervals; then four ceilings."""
    rows = easy_world.directions
    truth = (lambda x: x @ rows.T, lambda z: z @ rows)
    score(
        truth,
        easy_world,
        random.key(0),
        n_samples=4096,
        others={"the truth": truth},
        draws=0,
        pursuit_samples=pursuit_samples,
        progress=True,
    )
    assert f"scores: 100% {passes}/{passes}" in capsys.readouterr().err
