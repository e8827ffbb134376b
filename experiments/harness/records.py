"""What a run of an experiment leaves: `record.json` beside `arrays.npz`.

Both are written whole or not at all. The record holds the SHA-256 of the arrays, so a pair
that does not belong together is noticed.
"""

import dataclasses
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

FORMAT = 1
RECORD, ARRAYS = "record.json", "arrays.npz"
PACKAGES = ("jax", "flax", "optax", "numpy", "scipy")


class RecordError(ValueError):
    """A record cannot be read, or cannot be written where it was asked to."""


@dataclass(frozen=True)
class Check:
    """A measured value against the band it must lie in.

    Write `Check.within`, `Check.at_least` or `Check.at_most`, which say the kind of band.

    Attributes:
        name: what was measured.
        value: the measurement; None, kept as NaN, where there was nothing to measure, which
            never passes.
        low, high: the band, ends included; None leaves one side open.
        source: where the band comes from: a paper, a closed form, a stated goal.

    Raises:
        ValueError: the band cannot tell right from wrong: both sides are open, an end is
            not finite, or the ends are the wrong way round.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    source: str

    def __post_init__(self):
        if self.value is None:
            object.__setattr__(self, "value", np.nan)
        ends = [end for end in (self.low, self.high) if end is not None]
        band = f"{self.name!r} got the band [{self.low}, {self.high}], expected"
        if not ends:
            raise ValueError(
                f"{band} an end on one side at least; a check that no value fails is a "
                "metric: record it there"
            )
        if not np.isfinite(ends).all():
            raise ValueError(
                f"{band} finite ends; leave a side open with `Check.at_least` or "
                "`Check.at_most`, and see where another one was computed"
            )
        if ends[0] > ends[-1]:
            raise ValueError(f"{band} low <= high; exchange the ends")

    @classmethod
    def within(
        cls, name: str, value: float | None, low: float, high: float, source: str
    ) -> Self:
        """low <= value <= high."""
        return cls(name, value, low, high, source)  # pyright: ignore[reportArgumentType]

    @classmethod
    def at_least(cls, name: str, value: float | None, low: float, source: str) -> Self:
        """low <= value."""
        return cls(name, value, low, None, source)  # pyright: ignore[reportArgumentType]

    @classmethod
    def at_most(cls, name: str, value: float | None, high: float, source: str) -> Self:
        """value <= high."""
        return cls(name, value, None, high, source)  # pyright: ignore[reportArgumentType]

    @property
    def passed(self) -> bool:
        """Whether the value lies in its band; NaN and infinities never do."""
        above = self.low is None or self.value >= self.low
        below = self.high is None or self.value <= self.high
        return bool(above and below and np.isfinite(self.value))

    def content(self) -> dict[str, Any]:
        """As a record holds it: a value that is not finite is null there."""
        value = self.value if np.isfinite(self.value) else None
        return dataclasses.asdict(self) | {"value": value, "passed": self.passed}


@dataclass(frozen=True)
class Record:
    """Everything about a run but its arrays.

    Attributes:
        name: of the experiment.
        settings: what it was run with.
        seed: of all its keys.
        metrics: plain numbers and lists.
        checks: each with its band and source.
        seconds: stage to wall-clock time; not part of what the same seed repeats.
        versions: package to version.
        device: what it ran on.
    """

    name: str
    settings: dict[str, Any]
    seed: int
    metrics: dict[str, Any]
    checks: list[Check]
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def versions() -> dict[str, str]:
    """Python and the packages that numbers depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | found


def device() -> str:
    """The accelerator's name, or the CPU's architecture and core count."""
    first = jax.devices()[0]
    if first.platform == "cpu":
        return f"CPU, {platform.machine()}, {os.cpu_count()} cores"
    return f"{first.device_kind} x {jax.device_count()}"


def write(directory: Path, record: Record, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes both files and returns the path of the record.

    Raises:
        RecordError: the directory cannot be written.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    content = dataclasses.asdict(record)
    content["checks"] = [check.content() for check in record.checks]
    content["passed"] = record.passed
    content |= {"format": FORMAT, "arrays_sha256": _sha256(packed.getvalue())}
    text = json.dumps(content, indent=2, allow_nan=False, default=_plain)
    require_writable(directory)
    _replace(directory / ARRAYS, packed.getvalue())
    _replace(directory / RECORD, (text + "\n").encode())
    return directory / RECORD


def read(directory: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record as plain JSON content, and its arrays.

    Raises:
        RecordError: a file is missing, broken, of another format, or not the other's.
    """
    path = directory / RECORD
    try:
        content = json.loads(path.read_bytes())
        packed = (directory / ARRAYS).read_bytes()
    except OSError as error:
        raise RecordError(
            f"{error.filename} cannot be read ({error.strerror}), expected a directory "
            f"with {RECORD} and {ARRAYS}; give the --out directory of a finished run"
        ) from None
    except ValueError:
        raise RecordError(
            f"{path} is not JSON, expected a record; run the experiment again"
        ) from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise RecordError(
            f"{path} has format {found}, expected {FORMAT}; it is from another version: "
            "run the experiment again"
        )
    if _sha256(packed) != content["arrays_sha256"]:
        raise RecordError(
            f"{ARRAYS} is not the file that {path} was written with; run the experiment "
            "again"
        )
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return content, dict(arrays)


def require_same(directory: Path, name: str, settings: Any, seed: int) -> None:
    """Raises RecordError when `directory` holds a whole record of another run.

    What is no record, or one of another format, may be written over.
    """
    try:
        content = json.loads((directory / RECORD).read_bytes())
    except (OSError, ValueError):
        return
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return
    new = _flat(name, json.loads(json.dumps(dataclasses.asdict(settings))), seed)
    old = _flat(content.get("name"), content.get("settings", {}), content.get("seed"))
    differs = [field for field in old | new if old.get(field) != new.get(field)]
    if differs:
        was = ", ".join(f"{field} {_short(old.get(field))}" for field in differs[:3])
        now = ", ".join(f"{field} {_short(new.get(field))}" for field in differs[:3])
        more = f" ({len(differs)} settings differ)" if len(differs) > 3 else ""
        raise RecordError(
            f"{directory} holds a record with {was}, which this run with {now} would "
            f"replace{more}; give another place, such as --out {directory}_2, or delete it"
        )


def _flat(name: Any, settings: dict[str, Any], seed: Any) -> dict[str, Any]:
    return {"experiment": name, "seed": seed, **settings}


def _short(value: Any, length: int = 40) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= length else f"{text[:length]}..."


def remove_leftovers(directory: Path) -> None:
    """Removes what writing a record left in `directory` when its process was killed."""
    for name in (ARRAYS, RECORD):
        for path in directory.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def require_writable(directory: Path) -> None:
    """Makes `directory` and raises RecordError when nothing can be written in it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise RecordError(
            f"{directory} cannot be written ({error.strerror}), expected a directory of "
            "yours; choose another with --out"
        ) from None


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a record holds {type(value).__name__}, expected numbers or lists")
