"""Runs that are killed at any moment end as if nothing had happened, when run again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import records

ROOT = Path(__file__).parents[3]
TINY = ["local_bases", "--set=density=0.1", "--set=n_seeds=2", "--set=n_samples=1024"]
TINY += ["--set=steps=200", "--set=batch_size=32"]

# Runs the command, and kills it at the moment that the first argument names.
DRIVER = """
import os, signal, sys, threading
import jax
jax.config.update("jax_num_cpu_devices", 2)
from experiments.harness import command, records
from figures import style
from toymodels.training.checkpoints import DirectoryCheckpoints

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def save(self, step, state, history, now=False):
    if moment == "training" and step >= 60:
        kill()
    if moment == "a checkpoint" and step == 120:
        threading.Timer(0.03, kill).start()
    if moment.isdigit() and step == 120:
        os.kill(os.getpid(), int(moment))
    return whole(self, step, state, history, now or step % 40 == 0)

moment = sys.argv[1]
whole, DirectoryCheckpoints.save = DirectoryCheckpoints.save, save
replace, draw = os.replace, style.save
if moment in ("arrays.npz", "record.json"):
    records.os.replace = lambda old, new: (
        kill() if str(new).endswith(moment) else replace(old, new)
    )
if moment == "figures":
    style.save = lambda figure, path: (draw(figure, path), kill())
sys.exit(command.main(sys.argv[2:]))
"""
MOMENTS = ("training", "a checkpoint", "arrays.npz", "record.json", "figures")


def start(moment, directory):
    command = [sys.executable, "-c", DRIVER, moment, *TINY, "--out", str(directory)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from beginning to end, and how long it took."""
    directory = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    child = start("never", directory)
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    return directory, time.monotonic() - started


def assert_same_run(one, other):
    (first, arrays), (second, same) = records.read(one), records.read(other)
    drop = {"seconds", "metrics", "arrays_sha256"}
    assert {k: v for k, v in first.items() if k not in drop} == {
        k: v for k, v in second.items() if k not in drop
    }
    assert json.dumps(first["metrics"]) == json.dumps(second["metrics"])
    assert arrays.keys() == same.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, same[name])
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    for picture in one.glob("*.png"):
        assert picture.read_bytes() == (other / picture.name).read_bytes()


@pytest.mark.slow
def test_killed_at_every_step_of_its_way_a_run_ends_the_same(whole, tmp_path):
    resumed = ""
    for moment in MOMENTS:
        child = start(moment, tmp_path)
        _, errors = child.communicate()
        assert child.returncode == -signal.SIGKILL, f"{moment}: {errors}"
        resumed += errors
    child = start("never", tmp_path)
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    assert "resuming toy models at step" in resumed
    assert "toy models: all 200 steps are kept from before" in errors
    assert_same_run(whole[0], tmp_path)


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_the_same(whole, tmp_path):
    """Later and later, by the clock, so wherever it is then."""
    expected, seconds = whole
    for part in (0.4, 0.7, 0.9):
        child = start("never", tmp_path)
        time.sleep(part * seconds)
        child.kill()
        child.communicate()
    child = start("never", tmp_path)
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    assert_same_run(expected, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_real_run_is_obeyed_and_the_rerun_ends_the_same(
    whole, tmp_path, number
):
    child = start(str(int(number)), tmp_path)
    _, errors = child.communicate()
    assert child.returncode == 128 + number
    last = errors.splitlines()[-1]
    assert last == "interrupted; the same command resumes toy models at step 120 of 200"
    child = start("never", tmp_path)
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    assert "resuming toy models at step 120 of 200" in errors
    assert_same_run(whole[0], tmp_path)
