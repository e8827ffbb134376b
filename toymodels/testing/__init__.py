"""Tests for dictionaries of one's own: conformance, recovery, fixtures for pytest.

`assert_recovers` holds a dictionary of any framework to the features of a world. `check`
and `check_recovers` hold a variant that is written for this library to its protocol. The
fixtures of `pytest_plugin` are found by pytest itself, which is why nothing is loaded here
before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toymodels.testing.conformance import check, check_recovers
    from toymodels.testing.recovery import assert_recovers

_HOMES = {
    "assert_recovers": "toymodels.testing.recovery",
    "check": "toymodels.testing.conformance",
    "check_recovers": "toymodels.testing.conformance",
}

__all__ = ["assert_recovers", "check", "check_recovers"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name, "toymodels.testing.conformance")
    if name.startswith("_"):
        raise AttributeError(f"module 'toymodels.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
