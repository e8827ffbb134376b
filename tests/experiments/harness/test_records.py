"""Records: whole or not at all, read back equal, refused with one sentence."""

import json
import os

import numpy as np
import pytest

from experiments.harness import records
from experiments.harness.records import Check, Record, RecordError

ARRAYS = {"a/b": np.arange(6.0).reshape(2, 3), "names": np.array(["x", "y"])}


def make(checks=()):
    return Record("toy", {"steps": 3}, 7, {"loss": np.float32(0.5)}, list(checks))


def test_round_trip(tmp_path):
    check = Check("loss", 0.5, 0.0, 1.0, "a closed form")
    records.write(tmp_path, make([check]), ARRAYS)
    content, arrays = records.read(tmp_path)
    assert content["name"] == "toy"
    assert content["metrics"] == {"loss": 0.5}
    assert content["checks"] == [
        {
            "name": "loss",
            "value": 0.5,
            "low": 0.0,
            "high": 1.0,
            "source": "a closed form",
            "passed": True,
        }
    ]
    assert content["passed"] is True
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arrays.npz", "record.json"]


@pytest.mark.parametrize(
    ("value", "low", "high", "passed"),
    [
        (0.5, 0.0, 1.0, True),
        (1.0, 0.0, 1.0, True),
        (1.1, 0.0, 1.0, False),
        (-0.1, 0.0, None, False),
        (9.9, 0.0, None, True),
        (float("nan"), None, 1.0, False),
        (float("inf"), 0.0, None, False),
    ],
)
def test_check(value, low, high, passed):
    assert Check("x", value, low, high, "").passed is passed


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (Check.within("x", 0.5, 0.0, 1.0, ""), True),
        (Check.within("x", 1.5, 0.0, 1.0, ""), False),
        (Check.at_least("x", 1.5, 1.0, ""), True),
        (Check.at_least("x", 0.5, 1.0, ""), False),
        (Check.at_most("x", 0.5, 1.0, ""), True),
        (Check.at_most("x", 1.5, 1.0, ""), False),
        (Check.at_most("x", None, 1.0, ""), False),
        (Check.at_least("x", None, 1.0, ""), False),
    ],
)
def test_kinds_of_bands(check, passed):
    assert check.passed is passed


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (None, None, "an end on one side"),
        (float("nan"), 1.0, "finite ends"),
        (0.0, float("nan"), "finite ends"),
        (float("-inf"), float("inf"), "finite ends"),
        (None, float("inf"), "finite ends"),
        (1.0, 0.0, "low <= high"),
    ],
)
def test_a_band_that_tells_nothing_is_refused(low, high, said):
    with pytest.raises(ValueError, match=rf"'loss' got the band .*{said}"):
        Check("loss", 0.5, low, high, "")


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_nothing_measured_is_recorded_as_a_failure(value, tmp_path):
    records.write(tmp_path, make([Check.at_most("loss", value, 1.0, "")]), ARRAYS)
    content, _ = records.read(tmp_path)
    assert content["checks"][0]["value"] is None
    assert content["passed"] is False


def test_one_failed_check_fails_the_record():
    checks = [Check("a", 1.0, 0, 2, ""), Check("b", 3.0, 0, 2, "")]
    assert make(checks[:1]).passed
    assert not make(checks).passed


def test_a_failing_write_keeps_what_was_there(tmp_path, monkeypatch):
    records.write(tmp_path, make(), ARRAYS)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        records.write(tmp_path, make(), {"other": np.zeros(3)})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_nan_in_metrics_is_refused_before_anything_is_written(tmp_path):
    bad = Record("toy", {}, 0, {"loss": float("nan")}, [])
    with pytest.raises(ValueError, match="JSON"):
        records.write(tmp_path / "new", bad, ARRAYS)
    assert not (tmp_path / "new").exists()


def test_missing_record(tmp_path):
    with pytest.raises(RecordError, match=r"cannot be read .*, expected a directory with"):
        records.read(tmp_path)


def test_broken_record(tmp_path):
    records.write(tmp_path, make(), ARRAYS)
    (tmp_path / "record.json").write_text('{"name": "toy", ')
    with pytest.raises(RecordError, match="is not JSON"):
        records.read(tmp_path)


@pytest.mark.parametrize("content", ['{"format": 99}', "{}", "[1]"])
def test_record_of_another_version(tmp_path, content):
    records.write(tmp_path, make(), ARRAYS)
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RecordError, match=r"expected 1; it is from another version"):
        records.read(tmp_path)


def test_arrays_of_another_run(tmp_path):
    records.write(tmp_path / "one", make(), ARRAYS)
    records.write(tmp_path / "two", make(), {"a": np.ones(2)})
    (tmp_path / "two" / "arrays.npz").replace(tmp_path / "one" / "arrays.npz")
    with pytest.raises(RecordError, match="is not the file that"):
        records.read(tmp_path / "one")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match=r"cannot be written .*--out"):
        records.write(tmp_path / "file", make(), ARRAYS)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        records.write(tmp_path / name, make(), ARRAYS)
    one, two = (
        json.loads((tmp_path / n / "record.json").read_text()) for n in ("one", "two")
    )
    assert one == two
