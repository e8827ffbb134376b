"""The `.pt` files of torch.save, read and written without torch.

A `.pt` file is a zip archive of one pickle and one record of raw bytes per storage. A
pickle is a program. The one that reads here knows torch's way of rebuilding a tensor, plain
dictionaries and numbers, and refuses every other name before anything of it runs. Written
is the same program by hand, so that `torch.load(weights_only=True)` takes it.
"""

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from toymodels.files import damaged, require_file, widened

_STORAGES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_WRITTEN = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int32): "IntStorage"}
_WRITTEN[np.dtype(np.int64)] = "LongStorage"


class _Refused(Exception):
    """Says in one sentence what of a pickle is not read."""


class _Dtype(NamedTuple):
    """What a storage class of torch's stands for."""

    dtype: Any


class _Storage(NamedTuple):
    """A record of raw bytes, and how many numbers of which dtype it holds."""

    key: str
    dtype: Any
    size: int


class _View(NamedTuple):
    """A tensor: where it lies in its storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Rebuild:
    """A function that a pickle may call, and neither keep nor change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def read(path: Path) -> Any:
    """What torch.save wrote: dictionaries, lists, numbers and strings, tensors as arrays.

    Tensors of bfloat16 come as float32.

    Raises:
        ValueError: the file is missing, cut off, of the form before torch 1.6, or its
            pickle calls for anything but tensors.
    """
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            records = _records(archive)
            return _with_arrays(_Unpickler(io.BytesIO(records["data.pkl"])).load(), records)
    except _Refused as refused:
        raise ValueError(
            f"{path} {refused}, expected tensors, numbers and strings alone; have its "
            "maker save a state_dict, and load it nowhere else if you do not trust it"
        ) from refused
    except zipfile.BadZipFile as error:
        expected = "a whole zip archive, as torch has written since 1.6"
        raise ValueError(damaged(path, expected, error)) from error
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(damaged(path, "what torch.save writes", repr(error))) from error


def _records(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Every record by its name below the archive's folder."""
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _Refused(f"has the compressed record {entry.filename}")
    return {
        entry.filename.partition("/")[2]: archive.read(entry)
        for entry in archive.infolist()
    }


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries, lists, numbers and strings, and tuples that describe tensors.

    No object that it hands out can be changed by the pickle but dictionaries and lists, so
    that attributes which a pickle sets reach nothing.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Every name of a pickle passes here before it is used."""
        if module == "torch" and name in _STORAGES:
            return _Dtype(_STORAGES[name])
        if (module, name) not in _CALLED:
            raise _Refused(f"calls for {module}.{name}")
        return _Rebuild(_CALLED[module, name])

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, size = pid
        if kind != "storage" or not isinstance(storage, _Dtype):
            raise _Refused(f"refers to a {kind}")
        return _Storage(key, storage.dtype, size)


def _tensor(storage, offset, size, stride, requires_grad, hooks, metadata=None) -> _View:
    if not isinstance(storage, _Storage):
        raise _Refused("rebuilds a tensor from something that is no storage")
    return _View(storage, offset, size, stride)


_CALLED: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): lambda *items: collections.OrderedDict(*items),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, requires_grad, hooks: data,
}


def _with_arrays(found: Any, records: Mapping[str, bytes]) -> Any:
    """The same with an array in the place of every description of one."""
    if isinstance(found, _View):
        return _array(found, records)
    if isinstance(found, dict):
        return {name: _with_arrays(item, records) for name, item in dict.items(found)}
    if type(found) in (list, tuple):
        return [_with_arrays(item, records) for item in found]
    if found is None or type(found) in (bool, int, float, str, bytes):
        return found
    raise _Refused(f"holds a {type(found).__name__}")


def _array(view: _View, records: Mapping[str, bytes]) -> np.ndarray:
    """The numbers of a view, after a check that it lies inside its storage."""
    storage, offset, size, stride = view
    flat = np.frombuffer(records[f"data/{storage.key}"], storage.dtype, storage.size)
    if records.get("byteorder") == b"big":
        flat = flat.byteswap()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or last >= len(flat) or prod(size) > len(flat):
        raise _Refused("has a tensor that does not lie inside its storage")
    steps = [step * flat.itemsize for step in stride]
    return widened(np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy())


def write(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a flat state_dict of float32, int32 and int64 arrays.

    Raises:
        ValueError: an array has another dtype.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    for name, array in arrays.items():
        if array.dtype not in _WRITTEN:
            raise ValueError(
                f"{name} has the dtype {array.dtype}, expected one of "
                f"{', '.join(map(str, _WRITTEN))}; convert it"
            )
    folder = path.stem
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def record(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), data)

        record("data.pkl", _program(arrays))
        record("byteorder", b"little")
        for key, array in enumerate(arrays.values()):
            record(f"data/{key}", array.astype(array.dtype.newbyteorder("<")).tobytes())
        record("version", b"3\n")


def _program(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle: a dictionary of name to `_rebuild_tensor_v2` of a storage."""
    code = [pickle.PROTO, b"\x02", pickle.EMPTY_DICT, pickle.MARK]
    for key, (name, array) in enumerate(arrays.items()):
        shape = array.shape
        stride = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        code += [_text(name), _name("torch._utils", "_rebuild_tensor_v2"), pickle.MARK]
        code += [pickle.MARK, _text("storage"), _name("torch", _WRITTEN[array.dtype])]
        code += [_text(str(key)), _text("cpu"), _number(array.size)]
        code += [pickle.TUPLE, pickle.BINPERSID, _number(0)]
        code += [_numbers(shape), _numbers(stride), pickle.NEWFALSE]
        code += [_name("collections", "OrderedDict"), pickle.EMPTY_TUPLE, pickle.REDUCE]
        code += [pickle.TUPLE, pickle.REDUCE]
    return b"".join([*code, pickle.SETITEMS, pickle.STOP])


def _text(text: str) -> bytes:
    data = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _number(number: int) -> bytes:
    if number < 2**31:
        return pickle.BININT + struct.pack("<i", number)
    return pickle.LONG1 + b"\x08" + struct.pack("<q", number)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(map(_number, numbers)) + pickle.TUPLE
