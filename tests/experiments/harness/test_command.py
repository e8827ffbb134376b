"""The command line: what it runs, and what it says when it cannot."""

import io
import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from experiments.harness import command, records
from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.recovery import seed_distributions
from toymodels.training.checkpoints import DirectoryCheckpoints

TINY = [
    "--quick",
    *(
        f"--set={s}"
        for s in ("model_steps=40", "steps=30", "n_samples=4096", "n_features=12")
    ),
    *(f"--set={s}" for s in ("n_hidden=6", "n_latents=12", "batch_size=64")),
]


@dataclass(frozen=True)
class Settings:
    value: float = 1.0
    sizes: tuple = (1, 2)
    name: str = "a"
    flag: bool = False


def run_stub(settings, seed, job):
    with job.stage("work"):
        values = {"easy, stub": np.array([settings.value, 0.5])}
    metrics = {"recipes": list(values), "floor": 0.1}
    arrays = {f"mcc_dec/{label}": value for label, value in values.items()}
    check = Check("value", settings.value, 0.0, 2.0, "the stub")
    return Result(metrics, arrays, [check], ["a table"])


STUB = Experiment(
    "stub",
    "A question?",
    "nobody",
    0,
    Settings(),
    replace(Settings(), value=0.5),
    run_stub,
    (seed_distributions,),
)


@pytest.fixture(autouse=True)
def stub_is_known(monkeypatch):
    real = command.catalogue()
    monkeypatch.setattr(command, "catalogue", lambda: {**real, "stub": STUB})


def test_a_run_leaves_a_record_arrays_and_figures(tmp_path, capsys):
    assert command.main(["stub", "--out", str(tmp_path), "--seed", "3"]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    figures = {"seed_distributions.png", "seed_distributions.svg"}
    assert names == {"record.json", "arrays.npz"} | figures
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["seed"], record["settings"]["sizes"]) == (3, [1, 2])
    assert set(record["versions"]) == {"python", *records.PACKAGES}
    assert {"work", "total"} == set(record["seconds"])
    out = capsys.readouterr().out
    assert "a table" in out
    assert "pass  value = 1 in [0, 2]" in out
    assert str(tmp_path / "record.json") in out


def test_settings_can_be_set_and_quick_is_another_size(tmp_path):
    command.main(["stub", "--quick", "--out", str(tmp_path), "--set", "sizes=(3,4,5)"])
    settings = json.loads((tmp_path / "record.json").read_text())["settings"]
    assert settings == {"value": 0.5, "sizes": [3, 4, 5], "name": "a", "flag": False}


@pytest.mark.parametrize(("check", "status"), [([], 0), (["--check"], 1)])
def test_check_decides_the_exit_status(tmp_path, capsys, check, status):
    arguments = ["stub", "--out", str(tmp_path), "--set", "value=3", *check]
    assert command.main(arguments) == status
    assert "FAIL  value = 3 in [0, 2]" in capsys.readouterr().out


def test_redraw_gives_the_same_pictures(tmp_path):
    command.main(["stub", "--out", str(tmp_path)])
    pictures = sorted(tmp_path.glob("seed_distributions.*"))
    before = [picture.read_bytes() for picture in pictures]
    for picture in pictures:
        picture.unlink()
    assert command.main(["--redraw", str(tmp_path)]) == 0
    assert [picture.read_bytes() for picture in pictures] == before


def test_the_list_names_every_experiment(capsys):
    assert command.main([]) == 0
    out = capsys.readouterr().out
    for name in ("sae_recovery", "toy_intro", "recovery_seeds"):
        assert name in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sae_recovary"], 'no experiment "sae_recovary"; did you mean "sae_recovery"'),
        (["toy"], 'no experiment "toy"; did you mean "toy_intro" or "toy_saes"?'),
        (["xyzzy"], '"xyzzy"; `python -m experiments` lists all [0-9]+$'),
        (["xyzzy", "--help"], 'no experiment "xyzzy"'),
        (["stub", "--set", "valeu=2"], 'no setting "valeu"; did you mean "value"?'),
        (["stub", "--set", "x" * 9999], 'given "x{60}...", expected field=value'),
        (["stub", "--seed", "-1"], "--seed is -1, expected a number from 0 to 4294967295"),
        (["stub", "--seed", str(2**63)], "--seed is 9223372036854775808, expected"),
        (["--quick"], "--quick has no effect where no name was given"),
        (["--redraw", "nowhere", "--seed", "3"], "--seed has no effect where a record"),
        (
            ["stub", "--set", "value=high"],
            'value cannot be "high", expected float like 1.0',
        ),
        (["stub", "--set", "flag=2"], 'flag cannot be "2", expected bool'),
        (["stub", "--set", "value"], 'given "value", expected field=value'),
        (["--redraw", "nowhere"], "nowhere.*cannot be read"),
        (["sae_recovery", "--set", "ks=(2, 100)"], r"k is 100, expected .* \[1, 64\]"),
        (["sae_recovery", "--set", "mean_l0=100.0"], "probability holds 1.5625"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    tmp_path, capsys, monkeypatch, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == command.USAGE_ERROR
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert re.search(sentence, error)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left


def test_help_with_a_name_shows_its_story_and_settings(capsys):
    assert command.main(["toy_intro", "--help"]) == 0
    out = capsys.readouterr().out
    for part in (
        "How do five features share two dimensions",
        "0.4 minutes on two cores",
        "Expect:  two orthogonal features at density 1",
        "n_densities = 10   (--quick: 2)",
        "feature i's error weighs importance^i",
        "n_densities, n_seeds: models of each",
    ):
        assert part in out
    assert command.main(["--help"]) == 0
    assert "--redraw DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (["--quick"], "record with value 1.0, which this run with value 0.5 would replace"),
        (["--seed", "3"], "record with seed 0, which this run with seed 3 would replace"),
        (["--set", "sizes=(3,)"], r"with sizes \[1, 2\], which this run with sizes \[3\]"),
    ],
)
def test_a_record_of_another_run_is_not_written_over(tmp_path, capsys, other, sentence):
    out = ["--out", str(tmp_path)]
    assert command.main(["stub", *out]) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert command.main(["stub", *other, *out]) == command.USAGE_ERROR
    printed = capsys.readouterr()
    assert re.search(sentence, printed.err)
    assert f"--out {tmp_path}_2" in printed.err
    assert printed.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert command.main(["toy_intro", *out]) == command.USAGE_ERROR
    assert "experiment stub" in capsys.readouterr().err


def test_the_same_run_and_a_damaged_record_are_written_over(tmp_path):
    out = ["--out", str(tmp_path), "--seed", "3"]
    for damage in (None, "{", "[]", '{"format": 0}'):
        if damage is not None:
            (tmp_path / "record.json").write_text(damage)
        assert command.main(["stub", *out]) == 0
        assert json.loads((tmp_path / "record.json").read_text())["seed"] == 3


def test_what_a_killed_run_left_is_cleaned_up(tmp_path):
    for name in (".arrays.npz.x1y2", ".record.json.abc", ".notes"):
        (tmp_path / name).write_text("half")
    command.main(["stub", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.glob(".*")] == [".notes"]


def test_a_redraw_under_another_name_is_refused(tmp_path, capsys):
    command.main(["stub", "--out", str(tmp_path)])
    assert command.main(["stub", "--redraw", str(tmp_path)]) == 0
    assert command.main(["toy_intro", "--redraw", str(tmp_path)]) == command.USAGE_ERROR
    assert 'holds a record of "stub"' in capsys.readouterr().err


def test_a_failed_check_of_another_size_says_which_size_the_bands_are_for(
    tmp_path, capsys, monkeypatch
):
    arguments = ["stub", "--quick", "--set", "value=3", "--out"]
    command.main([*arguments, str(tmp_path / "quick")])
    out = capsys.readouterr().out
    assert "the bands are for the default size: this run has value=3.0 (1.0)" in out
    command.main(["stub", "--quick", "--out", str(tmp_path / "passed")])
    assert "default size" not in capsys.readouterr().out
    worse = replace(STUB, settings=Settings(value=3))
    monkeypatch.setattr(command, "catalogue", lambda: {"stub": worse})
    command.main(["stub", "--out", str(tmp_path / "failed")])
    out = capsys.readouterr().out
    assert "FAIL" in out
    assert "default size" not in out


def test_a_reader_that_has_read_enough_ends_the_list_quietly(monkeypatch, capsys):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    assert command.main([]) == command.CLOSED_PIPE
    assert capsys.readouterr().err == ""


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert (
        command.main(["stub", "--out", str(tmp_path / "file" / "x")]) == command.USAGE_ERROR
    )
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.slow
def test_the_main_experiment_end_to_end(tmp_path):
    assert command.main(["sae_recovery", *TINY, "--out", str(tmp_path)]) == 0
    record, arrays = records.read(tmp_path)
    passed = {check["name"]: check["passed"] for check in record["checks"]}
    assert passed["mean true L0"]
    assert passed["mean true L0"]
    assert arrays["cosine/TopK"].shape == (12, 12)
    assert not (tmp_path / "checkpoints").exists()
    for figure in ("cosine_matrix", "recovery_frontier", "training_curves"):
        assert (tmp_path / f"{figure}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_record(tmp_path):
    for name, seed in (("one", "4"), ("two", "4"), ("other", "5")):
        out = str(tmp_path / name)
        command.main(["sae_recovery", *TINY, "--seed", seed, "--out", out])
    (one, arrays), (two, same), (_, other) = (
        records.read(tmp_path / name) for name in ("one", "two", "other")
    )
    drop = {"seconds", "arrays_sha256"}
    assert {k: v for k, v in one.items() if k not in drop} == {
        k: v for k, v in two.items() if k not in drop
    }
    assert arrays.keys() == same.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, same[name])
    assert not np.array_equal(arrays["model/W"], other["model/W"])


@pytest.mark.slow
def test_an_interrupted_command_resumes_and_ends_the_same(tmp_path, capsys, monkeypatch):
    tiny = ["toy_intro", "--set=n_densities=2", "--set=n_seeds=2"]
    tiny += ["--set=steps=100", "--set=batch_size=32"]
    command.main([*tiny, "--out", str(tmp_path / "whole")])

    seen = []

    def progress(self, name, total, show=()):
        def interrupt(step, metrics):
            seen.append(step)
            if step == 60 and seen.count(60) == 1 and step - 2 in seen:
                raise KeyboardInterrupt

        return interrupt

    def checkpoints(self, name):
        return DirectoryCheckpoints(self.checkpoint_root / self.signature / name)

    monkeypatch.setattr(Job, "progress", progress)
    monkeypatch.setattr(Job, "checkpoints", checkpoints)
    out = ["--out", str(tmp_path / "cut")]
    assert command.main([*tiny, *out]) == command.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "cut" / "record.json").exists()
    assert command.main([*tiny, *out]) == 0
    assert seen == [*range(2, 61, 2), *range(62, 101, 2)]

    (_, whole), (_, cut) = (records.read(tmp_path / name) for name in ("whole", "cut"))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, cut[name])


def test_nan_stops_the_command_with_one_sentence(tmp_path, capsys):
    tiny = ["toy_intro", "--set=n_densities=1", "--set=n_seeds=2", "--set=steps=20"]
    arguments = [*tiny, "--set=learning_rate=1e30", "--out", str(tmp_path)]
    assert command.main(arguments) == command.CHECK_FAILED
    error = capsys.readouterr().err.splitlines()[-1]
    sentence = r"stopped: the loss became NaN or infinite at step \d+ \(members"
    assert re.match(sentence, error)
    assert not (tmp_path / "record.json").exists()
