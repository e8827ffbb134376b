"""Files of named arrays: safetensors and npz, and the JSON settings beside them.

Nothing in them is run. A file that is damaged or of another kind is refused in one
sentence.
"""

import json
import reprlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors.numpy import save_file

Arrays = dict[str, np.ndarray]

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
}


def read_safetensors(path: Path) -> Arrays:
    """The arrays of a safetensors file; those of bfloat16 as float32.

    Raises:
        ValueError: it is missing, cut off or something else, or has another dtype.
    """
    require_file(path)
    try:
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(damaged(path, "a whole safetensors file", error)) from error
    arrays = {}
    for name, tensor in found:
        kind = tensor["dtype"]
        if kind not in _DTYPES:
            raise ValueError(
                f"{name} in {path} has the dtype {kind}, expected one of "
                f"{', '.join(_DTYPES)}; convert it first"
            )
        array = np.frombuffer(tensor["data"], _DTYPES[kind])
        arrays[name] = widened(array.reshape(tensor["shape"]))
    return arrays


def widened(array: np.ndarray) -> np.ndarray:
    """The same numbers, in float32 where they are in bfloat16: NumPy itself has none."""
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def write_safetensors(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays of float32 or whole numbers, in order of their names."""
    ordered = {name: np.array(arrays[name], order="C") for name in sorted(arrays)}
    save_file(ordered, path, None if metadata is None else dict(metadata))


def read_metadata(path: Path) -> dict[str, str]:
    """The text that a safetensors file carries beside its arrays; {} where it has none."""
    with safetensors.safe_open(path, "numpy") as file:
        return dict(file.metadata() or {})


def read_npz(path: Path) -> Arrays:
    """The arrays of an npz file; one that holds objects is refused, for they would run.

    Raises:
        ValueError: it is missing, cut off or something else, or holds objects.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise ValueError("it holds one array without a name")
            arrays = dict(stored)
            for name, array in arrays.items():
                if array.dtype.kind not in "biuf":
                    raise ValueError(f"{name} in it has the dtype {array.dtype}")
            return arrays
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(damaged(path, "a whole npz file of numbers", error)) from error


def read_json(path: Path) -> dict[str, Any]:
    """The settings of a JSON file.

    Raises:
        ValueError: it is missing, or no JSON object.
    """
    require_file(path)
    try:
        settings = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(damaged(path, "a JSON file", error)) from error
    if not isinstance(settings, dict):
        raise ValueError(
            f"{path} holds a {type(settings).__name__}, expected a JSON object of "
            "settings; give the folder that the library wrote"
        )
    return settings


def write_json(path: Path, settings: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(settings, indent=2) + "\n")


def require_file(path: Path) -> None:
    """Raises ValueError where there is no such file."""
    if not path.is_file():
        raise ValueError(
            f"{path} is not there, expected a file; give the folder that the library wrote"
        )


def damaged(path: Path, expected: str, error: BaseException | str) -> str:
    return f"{path} cannot be read ({error}), expected {expected}; copy or save it again"


def require_names(
    path: Path,
    arrays: Any,
    needed: tuple[str, ...],
    ignored: tuple[str, ...] = (),
) -> None:
    """Raises ValueError unless a file holds the arrays that are needed and nothing unknown.

    An unknown array may mean a computation that the reader would leave out.
    """
    found = arrays if isinstance(arrays, Mapping) else {}
    missing = [name for name in needed if not isinstance(found.get(name), np.ndarray)]
    if missing:
        raise ValueError(
            f"{path} holds no {' or '.join(missing)}, expected {', '.join(needed)}; it is "
            "of another kind, or was cut"
        )
    unknown = sorted(set(found) - set(needed) - set(ignored))
    if unknown:
        raise ValueError(
            f"{path} holds {', '.join(unknown)}, expected {', '.join(needed)} alone; it is "
            "of a kind that this reader does not know"
        )


def number(where: Any, name: str, value: Any) -> float:
    """A lone number, from an array or a setting.

    Raises:
        ValueError: it is none, or not finite.
    """
    lone = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    known = isinstance(lone, int | float | np.ndarray | np.generic)
    found = np.asarray(lone if known else "")
    is_number = found.size == 1 and found.dtype.kind in "iuf"
    if not (is_number and np.isfinite(found).all()):
        raise ValueError(
            f"{name} in {where} is {_short(value)}, expected one number, and a finite one; "
            "the file is damaged, or of another kind than its settings say"
        )
    return float(found.item())


def whole(where: Any, name: str, value: Any) -> int:
    """A lone whole number of at least 1, from an array or a setting.

    Raises:
        ValueError: it is none.
    """
    found = number(where, name, value)
    if found < 1 or found != int(found):
        raise ValueError(
            f"{name} in {where} is {_short(value)}, expected a whole number of at least 1; "
            "the file is damaged, or of another kind than its settings say"
        )
    return int(found)


def widths(where: Any, name: str, value: Any) -> list[int]:
    """A list of whole numbers of at least 1, from an array or a setting.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list | tuple) and np.ndim(value) != 1:
        raise ValueError(
            f"{name} in {where} is {_short(value)}, expected a list of whole numbers; the "
            "file is damaged, or of another kind than its settings say"
        )
    return [whole(where, name, width) for width in value]


def flag(path: Path, settings: Mapping[str, Any], name: str, default: bool) -> bool:
    """A setting that is true or false.

    Raises:
        ValueError: it is there and neither of them.
    """
    found = settings.get(name, default)
    if not isinstance(found, bool):
        raise ValueError(
            f"{name} in {path} is {_short(found)}, expected true or false; the file is "
            "damaged, or was written by hand"
        )
    return found


def choice(path: Path, settings: Mapping[str, Any], known: Any, *keys: str) -> str:
    """A setting that must be one of the names that a reader knows.

    Raises:
        ValueError: it is not there, or another.
    """
    found = setting(path, settings, *keys)
    if not isinstance(found, str) or found not in known:
        raise ValueError(
            f"the {keys[-1]} in {path} is {_short(found)}, expected one of "
            f"{', '.join(known)}; this reader knows no other"
        )
    return found


def setting(path: Path, settings: Mapping[str, Any], *keys: str) -> Any:
    """A setting that must be there, one key below the other.

    Raises:
        ValueError: it is not.
    """
    found: Any = settings
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            raise ValueError(
                f"{path} has no {'.'.join(keys)}, expected the settings of the library; "
                "give the folder that it wrote"
            )
        found = found[key]
    return found


def _short(value: Any) -> str:
    """What a message shows of a value, which may be as large as a file can hold."""
    return reprlib.repr(value)
