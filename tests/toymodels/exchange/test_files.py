"""safetensors, npz and JSON: what is read, and what is refused."""

import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels import files


def safetensors(path, header, data=b""):
    """The format by hand: the header's length, the header, the bytes."""
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_safetensors_by_hand(tmp_path):
    header = {
        "half": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "whole": {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]},
    }
    data = b"\xc0\x3f\x00\x00" + np.array([1, 2], "<f4").tobytes()
    found = files.read_safetensors(safetensors(tmp_path / "a", header, data))
    assert found["half"].dtype == np.float32
    np.testing.assert_array_equal(found["half"], [1.5, 0])
    np.testing.assert_array_equal(found["whole"], [[1, 2]])


def test_safetensors_written_and_read_back(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "a": np.ones(2, "f4")}
    files.write_safetensors(tmp_path / "a", arrays)
    found = files.read_safetensors(tmp_path / "a")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_damaged_safetensors_are_refused(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(ValueError, match="is not there, expected a file"):
        files.read_safetensors(path)
    files.write_safetensors(path, {"a": np.ones(9, np.float32)})
    whole = path.read_bytes()
    for length in (0, 7, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cannot be read .*a whole safetensors file"):
            files.read_safetensors(path)
    header = {"a": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}
    with pytest.raises(ValueError, match="has the dtype I8, expected one of F64"):
        files.read_safetensors(safetensors(path, header, b"\x00"))


def test_npz_of_objects_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "params.npz"
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(ValueError, match="expected a whole npz file of numbers"):
        files.read_npz(path)
    np.savez(path, a=np.ones(3, jnp.bfloat16))  # NumPy stores it as two raw bytes
    with pytest.raises(ValueError, match=r"a in it has the dtype \|V2\), expected"):
        files.read_npz(path)
    np.savez(path, a=np.ones(100))
    whole = path.read_bytes()
    for length in (0, 3, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="expected a whole npz file of numbers"):
            files.read_npz(path)
    np.save(tmp_path / "b.npy", np.ones(3))
    with pytest.raises(ValueError, match="one array without a name"):
        files.read_npz(tmp_path / "b.npy")


def test_json_that_is_none_is_refused(tmp_path):
    path = tmp_path / "cfg.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="expected a JSON file"):
        files.read_json(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="holds a list, expected a JSON object"):
        files.read_json(path)
    path.write_text('{"k": ' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(ValueError, match=r"recursion.*expected a JSON file"):
        files.read_json(path)


@pytest.mark.parametrize("found", [{"a": 3.0}, {"a": [1, 2]}, [1], "a", None])
def test_names_without_arrays_are_missing(tmp_path, found):
    with pytest.raises(ValueError, match="holds no a, expected a; it is of another kind"):
        files.require_names(tmp_path, found, ("a",))


def test_settings_that_are_missing_are_named(tmp_path):
    settings = {"trainer": {"k": 3}}
    assert files.setting(tmp_path, settings, "trainer", "k") == 3
    with pytest.raises(ValueError, match=r"has no trainer\.dict_class, expected"):
        files.setting(tmp_path, settings, "trainer", "dict_class")
    with pytest.raises(ValueError, match=r"has no trainer\.k\.depth, expected"):
        files.setting(tmp_path, settings, "trainer", "k", "depth")


def test_lone_numbers():
    assert files.number("it", "k", np.int32(3)) == 3
    assert files.number("it", "k", [2.5]) == 2.5
    ragged, huge = [[1], [1, 2]], 10**400
    for value in (np.ones(2), "3", None, True, {}, np.nan, float("inf"), ragged, huge):
        with pytest.raises(ValueError, match=r"k in it is .*, expected one number"):
            files.number("it", "k", value)


def test_whole_numbers_and_lists_of_them():
    assert files.whole("it", "k", 3.0) == 3
    assert files.widths("it", "sizes", np.array([3, 7])) == [3, 7]
    for value in (2.9, 0, -1, 1e-9):
        with pytest.raises(ValueError, match=r"k in it is .*, expected a whole number of"):
            files.whole("it", "k", value)
        with pytest.raises(ValueError, match=r"sizes in it is .*, expected a whole number"):
            files.widths("it", "sizes", [3, value])
    for value in (5, "3, 7", None, {"a": 1}, np.ones((2, 2))):
        with pytest.raises(
            ValueError, match=r"sizes in it is .*, expected a list of whole"
        ):
            files.widths("it", "sizes", value)
    with pytest.raises(ValueError, match=r"sizes in it is \[3\.0, 4\.0\], expected one"):
        files.widths("it", "sizes", [[3.0, 4.0]])


def test_flags_and_names(tmp_path):
    assert files.flag(tmp_path, {}, "tied", default=True)
    assert not files.flag(tmp_path, {"tied": False}, "tied", default=True)
    for value in ("false", 0, None, []):
        with pytest.raises(ValueError, match=r"tied in .* is .*, expected true or false"):
            files.flag(tmp_path, {"tied": value}, "tied", default=False)
    assert files.choice(tmp_path, {"a": {"b": "x"}}, ("x", "y"), "a", "b") == "x"
    for value in (["x"], {"x": 1}, None, 1, "z", [[[]]] * 1000):
        with pytest.raises(
            ValueError, match=r"the b in .* is .{1,90}, expected one of x, y"
        ):
            files.choice(tmp_path, {"a": {"b": value}}, ("x", "y"), "a", "b")
