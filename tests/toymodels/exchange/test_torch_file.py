"""`.pt` files: written and read back, damaged, and with a pickle that wants to run."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from toymodels.exchange import torch_file

TENSORS = {
    "W": np.arange(6, dtype=np.float32).reshape(2, 3),
    "k": np.array(5, np.int32),
    "sizes": np.array([2**40, -1], np.int64),
}


def archive(path, program, records=(), folder="archive", compression=zipfile.ZIP_STORED):
    """A `.pt` file around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as written:
        written.writestr(f"{folder}/data.pkl", program)
        for name, data in dict(records).items():
            written.writestr(f"{folder}/{name}", data)
    return path


def tensor(size, stride, offset=0, numel=6, storage="torch FloatStorage"):
    """The pickle of one tensor of a storage of float32, written out by hand."""

    def numbers(values):
        return b"(" + b"".join(b"K" + bytes([v]) for v in values) + b"t"

    name = storage.replace(" ", "\n").encode()
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagec" + name + b"\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK" + bytes([numel]) + b"tQ"
        b"K" + bytes([offset]) + numbers(size) + numbers(stride) + b"\x89"
        b"ccollections\nOrderedDict\n)RtR."
    )


SIX = {"data/0": np.arange(6, dtype="<f4").tobytes()}


def test_written_and_read_back(tmp_path):
    torch_file.write(tmp_path / "ae.pt", TENSORS)
    found = torch_file.read(tmp_path / "ae.pt")
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape


def test_written_pickle_is_the_one_torch_rebuilds(tmp_path):
    """Python's own unpickler calls torch's functions with torch's arguments."""
    torch_file.write(tmp_path / "ae.pt", {"W": TENSORS["W"].T})
    calls = []

    class Watching(pickle.Unpickler):
        def find_class(self, module, name):
            return lambda *arguments: calls.append((module, name, arguments))

        def persistent_load(self, pid):
            return pid[0], *pid[2:]

    with zipfile.ZipFile(tmp_path / "ae.pt") as written:
        assert set(written.namelist()) == {
            *("ae/data.pkl", "ae/byteorder", "ae/data/0", "ae/version"),
        }
        with written.open("ae/data.pkl") as program:
            Watching(program).load()
        stored = np.frombuffer(written.read("ae/data/0"), "<f4")
    np.testing.assert_array_equal(stored, [0, 3, 1, 4, 2, 5])
    expected = (("storage", "0", "cpu", 6), 0, (3, 2), (2, 1), False, None)
    assert calls[-1] == ("torch._utils", "_rebuild_tensor_v2", expected)


@pytest.mark.parametrize(
    ("size", "stride", "offset", "expected"),
    [
        ((2, 3), (3, 1), 0, [[0, 1, 2], [3, 4, 5]]),
        ((3, 2), (1, 3), 0, [[0, 3], [1, 4], [2, 5]]),
        ((2,), (2,), 1, [1, 3]),
        ((), (), 4, 4),
    ],
)
def test_views_of_a_storage(tmp_path, size, stride, offset, expected):
    path = archive(tmp_path / "a.pt", tensor(size, stride, offset), SIX)
    np.testing.assert_array_equal(torch_file.read(path), expected)


def test_big_endian_records(tmp_path):
    records = {"data/0": np.arange(6, dtype=">f4").tobytes(), "byteorder": b"big"}
    path = archive(tmp_path / "a.pt", tensor((6,), (1,)), records)
    np.testing.assert_array_equal(torch_file.read(path), np.arange(6))


def test_bfloat16(tmp_path):
    """1.5 is 0x3FC0 in bfloat16."""
    program = tensor((2,), (1,), numel=2, storage="torch BFloat16Storage")
    path = archive(tmp_path / "a.pt", program, {"data/0": b"\xc0\x3f\x00\x00"})
    found = torch_file.read(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.5, 0])


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((2, 3), (3, 1), 1),
        ((7,), (1,), 0),
        ((3,), (3,), 0),
        ((200, 200), (0, 0), 0),  # a small file that would fill the memory
    ],
)
def test_views_outside_their_storage_are_refused(tmp_path, size, stride, offset):
    path = archive(tmp_path / "a.pt", tensor(size, stride, offset), SIX)
    with pytest.raises(ValueError, match="does not lie inside its storage, expected"):
        torch_file.read(path)


class Runs:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Runs(os.system, "touch hacked"), "system"),
        (Runs(eval, "open('hacked', 'w')"), "eval"),
        (Runs(getattr, {}, "clear"), "getattr"),
        (np.float64(3), "numpy"),
    ],
)
def test_a_pickle_that_calls_for_anything_else_is_refused(
    tmp_path, monkeypatch, call, name, protocol
):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "a.pt", pickle.dumps({"W": call}, protocol))
    with pytest.raises(ValueError, match=rf"calls for .*{name}.*expected tensors"):
        torch_file.read(path)
    assert not (tmp_path / "hacked").exists()


def test_a_pickle_cannot_change_what_rebuilds_tensors(tmp_path):
    """BUILD sets attributes of any object: here (None, {"__defaults__": (1,)})."""
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    poison = b"(N}(X\x0c\x00\x00\x00__defaults__(K\x01tutb."
    with pytest.raises(ValueError, match="AttributeError"):
        torch_file.read(archive(tmp_path / "a.pt", rebuild + poison))
    fine = archive(tmp_path / "b.pt", tensor((6,), (1,)), SIX)
    np.testing.assert_array_equal(torch_file.read(fine), np.arange(6))


def test_other_objects_and_records_are_refused(tmp_path):
    path = archive(tmp_path / "a.pt", pickle.dumps({1, 2}, 4))
    with pytest.raises(ValueError, match="holds a set, expected"):
        torch_file.read(path)
    program = tensor((6,), (1,), storage="collections OrderedDict")
    with pytest.raises(ValueError, match="refers to a storage, expected"):
        torch_file.read(archive(tmp_path / "b.pt", program, SIX))
    squeezed = archive(
        *(tmp_path / "c.pt", tensor((6,), (1,)), SIX), compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(ValueError, match=r"has the compressed record archive/data\.pkl"):
        torch_file.read(squeezed)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "ae.pt"
    with pytest.raises(ValueError, match=r"ae.pt is not there, expected a file"):
        torch_file.read(path)
    torch_file.write(path, TENSORS)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cannot be read .*expected"):
            torch_file.read(path)
    path.write_bytes(pickle.dumps({"W": [1.0]}))
    with pytest.raises(ValueError, match=r"as torch has written since 1.6"):
        torch_file.read(path)
    short = archive(path, tensor((6,), (1,)), {"data/0": b"1234"})
    with pytest.raises(ValueError, match=r"cannot be read .*expected what torch.save"):
        torch_file.read(short)
    cut = archive(path, tensor((6,), (1,))[:-20], SIX)
    with pytest.raises(ValueError, match=r"cannot be read .*expected what torch.save"):
        torch_file.read(cut)


def test_dtypes_that_are_not_written_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match="W has the dtype float64, expected one of float32"
    ):
        torch_file.write(tmp_path / "a.pt", {"W": np.zeros(3)})
