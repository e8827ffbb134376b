"""Worlds with an answer key: samples together with the features that made them.

    truth = world("superposed")                      # or easy, hierarchy, correlated
    batch = truth.sample(random.key(0), 1024)        # batch.x, batch.features

`SparseFeatures` is the world to build oneself, from `directions`, a law of `firing` and
`magnitude`; `worlds` has those with a name; `maze`, `othello` and `chess` are games whose
every token has known features. Names are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthetic.base import Batch, GroundTruth, KnownDirections, Pairs
    from synthetic.sparse import SparseFeatures
    from synthetic.stored import Stored
    from synthetic.streams import batches
    from synthetic.worlds.standard import world

_HOMES = {
    "Batch": "synthetic.base",
    "GroundTruth": "synthetic.base",
    "KnownDirections": "synthetic.base",
    "Pairs": "synthetic.base",
    "SparseFeatures": "synthetic.sparse",
    "Stored": "synthetic.stored",
    "batches": "synthetic.streams",
    "world": "synthetic.worlds.standard",
}
_ROOMS = (
    "chess",
    "directions",
    "firing",
    "geometry",
    "hierarchy",
    "magnitude",
    "maze",
    "noise",
    "othello",
    "parts",
    "random",
    "stored",
    "streams",
    "temporal",
    "testing",
    "worlds",
)

__all__ = [
    "Batch",
    "GroundTruth",
    "KnownDirections",
    "Pairs",
    "SparseFeatures",
    "Stored",
    "batches",
    "world",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"synthetic.{name}")
    raise AttributeError(
        f"module 'synthetic' has no attribute {name!r}; it has "
        f"{', '.join((*_HOMES, *_ROOMS))}"
    )


def __dir__() -> list[str]:
    return sorted((*_HOMES, *_ROOMS))
