"""Progress on a terminal and in a pipe."""

import io
import re

from toymodels.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_line_rewritten_with_rate_and_remaining_time():
    stream = Terminal()
    progress = Progress("fit", 100, show=("loss",), stream=stream)
    for step in (25, 50, 100):
        progress(step, {"loss": [1.0, 3.0]})
    text = stream.getvalue()
    assert text.count("\r") == 3
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert re.search(r"50/100 steps, [\d,]+ steps/s, \d+ s left  loss 2", text)


def test_a_pipe_gets_few_plain_lines_and_always_the_last():
    stream = io.StringIO()
    progress = Progress("fit", 1000, every=3600, stream=stream)
    for step in range(100, 1001, 100):
        progress(step, {"loss": 0.5})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "\r" not in lines[0]
    assert "1,000/1,000 steps" in lines[0]
    assert lines[0].endswith("loss 0.5")


def test_metrics_that_are_missing_are_left_out():
    stream = io.StringIO()
    Progress("fit", 10, show=("loss", "l0"), stream=stream)(10, {"l0": 2.5})
    assert "l0 2.5" in stream.getvalue()
    assert "loss" not in stream.getvalue()
