"""The optional package behind the rules; the one module that imports it, when called."""

import importlib
from types import ModuleType

INSTALL = "pip install chess"


def load() -> ModuleType:
    """The package `chess`, with its reader of PGN.

    Raises:
        ImportError: it is not installed.
    """
    try:
        package = importlib.import_module("chess")
        importlib.import_module("chess.pgn")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the package chess is not installed, expected version 1.11 or newer; {INSTALL}"
        ) from error
    return package
