"""Signals: a run stops where it is saved, says what it resumes, and ends the same."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import command, interrupts, records
from experiments.harness.experiment import Experiment, Result
from experiments.harness.records import Check
from toymodels.training import loop

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass(frozen=True)
class Settings:
    steps: int = 50


class Training:
    """Two stages that count, with a signal at a moment of the first run."""

    def __init__(self, moment=None, number=signal.SIGINT):
        self.moment, self.number, self.made = moment, number, []

    def run(self, settings, seed, job):
        self.at("start")
        totals = []
        for stage in ("first", "second"):
            with job.stage(stage):
                totals.append(self.count(stage, settings.steps, job))
                self.at(f"after {stage}")
        check = Check("total", sum(totals), 0.0, 1e6, "counted")
        return Result({}, {"totals": np.array(totals)}, [check], ["done"])

    def count(self, stage, steps, job):
        def advance(state, n):
            self.made.append((stage, n))
            moved = loop.State(state.step + n, state.params + n, ())
            self.at((stage, int(moved.step)))
            return moved, loop.Chunk({"loss": jnp.float32(1)}, jnp.int32(-1))

        state, _ = loop.run(
            advance,
            loop.State(jnp.int32(0), jnp.float32(0), ()),
            steps,
            chunk=10,
            progress=job.progress(stage, steps),
            checkpoints=job.checkpoints(stage),
        )
        return float(state.params)

    def at(self, moment):
        if moment == self.moment:
            self.moment = None
            signal.raise_signal(self.number)


def known_as(monkeypatch, training):
    experiment = Experiment(
        "stub", "A question?", "nobody", 0, Settings(), Settings(20), training.run, ()
    )
    monkeypatch.setattr(command, "catalogue", lambda: {"stub": experiment})


def contents(directory):
    record = json.loads((directory / "record.json").read_text())
    return {name: part for name, part in record.items() if name != "seconds"}


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize(
    ("moment", "resumes", "left"),
    [
        (("first", 20), "first at step 20 of 50", 8),
        (("second", 50), "second at step 50 of 50", 0),
        ("after first", "first at step 50", 5),
        (("second", 10), "second at step 10 of 50", 4),
    ],
)
def test_a_signal_ends_a_run_saved_and_the_rerun_ends_the_same(
    tmp_path, monkeypatch, capsys, number, moment, resumes, left
):
    known_as(monkeypatch, Training())
    command.main(["stub", "--out", str(tmp_path / "whole")])
    training = Training(moment, number)
    known_as(monkeypatch, training)
    cut = ["stub", "--out", str(tmp_path / "cut")]
    assert command.main(cut) == STATUS[number]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"interrupted; the same command resumes {resumes}"
    assert not (tmp_path / "cut" / "record.json").exists()

    training.made.clear()
    assert command.main(cut) == 0
    assert len(training.made) == left
    told = capsys.readouterr().err
    assert "first: all 50 steps are kept" in told or "resuming first at step 20" in told
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")
    assert not (tmp_path / "cut" / "checkpoints").exists()


def test_where_nothing_is_saved_nothing_is_promised(tmp_path, monkeypatch, capsys):
    known_as(monkeypatch, Training("start"))
    assert command.main(["stub", "--out", str(tmp_path)]) == command.INTERRUPTED
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("interrupted; nothing was saved")
    assert not list(tmp_path.iterdir())


def test_a_lost_exception_does_not_lose_the_signal(tmp_path, monkeypatch):
    training = Training()

    def lost(moment):
        if moment == "start":
            with contextlib.suppress(BaseException):
                signal.raise_signal(signal.SIGINT)

    training.at = lost
    known_as(monkeypatch, training)
    assert command.main(["stub", "--out", str(tmp_path)]) == command.INTERRUPTED
    assert not training.made


def test_checkpoints_of_other_settings_stay(tmp_path, monkeypatch, capsys):
    known_as(monkeypatch, Training(("first", 20)))
    out = ["--out", str(tmp_path)]
    assert command.main(["stub", *out]) == command.INTERRUPTED
    assert command.main(["stub", "--quick", *out]) == 0
    (tmp_path / records.RECORD).unlink()
    assert command.main(["stub", *out]) == 0
    assert "resuming first at step 20 of 50" in capsys.readouterr().err
    assert not (tmp_path / "checkpoints").exists()


def test_handlers_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in interrupts.HANDLED]
    with interrupts.handled():
        assert signal.getsignal(signal.SIGTERM) is interrupts._ask
    assert [signal.getsignal(number) for number in interrupts.HANDLED] == before
    assert signal.set_wakeup_fd(-1) == -1


WAITS = """
import signal, sys, time
from experiments.harness import interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with interrupts.handled():
        with interrupts.waiting():
            print("ready", flush=True)
            end = time.monotonic() + float(sys.argv[1])
            while time.monotonic() < end:
                time.sleep(0.05)
        interrupts.check()
except interrupts.Interrupted:
    print("checked", flush=True)
    sys.exit(3)
"""


@pytest.mark.parametrize(("seconds", "between", "status"), [(60, 0.7, 130), (1.5, 0.0, 3)])
def test_a_second_signal_stops_at_once_unless_a_wrapper_sent_it(seconds, between, status):
    """The child waits, as in a compilation, and would for a minute."""
    child = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        time.sleep(between)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == status
