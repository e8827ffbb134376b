"""Toy models, dictionaries, the loop that fits them and the scores that judge them.

    from synthetic import random, world
    from toymodels import fit, score
    from toymodels.sae import TopK

    truth = world("superposed")
    sae = fit(random.key(0), TopK(64, k=3), truth)
    print(score(sae, truth, random.key(1)))

`fit` fits one dictionary and `fit_many` several from several seeds; `score` and
`score_many` judge them, or any dictionary of another library, against a world whose
features are known; `assert_recovers` is the same for a test suite; `load` brings back a
saved dictionary or a trained player. Names are loaded when they are first used.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import synthetic

if TYPE_CHECKING:
    from toymodels.sae.fitted import Fitted, Study
    from toymodels.sae.many import fit_many
    from toymodels.sae.training import fit
    from toymodels.scores.report import Report
    from toymodels.scores.scoring import score
    from toymodels.scores.table import Table, score_many
    from toymodels.testing.recovery import assert_recovers

if "SparseFeatures" not in dir(synthetic):
    raise ImportError(
        f"toymodels found a package 'synthetic' at {getattr(synthetic, '__file__', None)}, "
        "expected the one that it is installed with; rename that file or folder, or run "
        "from another folder"
    )

_HOMES = {
    "Fitted": "toymodels.sae.fitted",
    "Report": "toymodels.scores.report",
    "Study": "toymodels.sae.fitted",
    "Table": "toymodels.scores.table",
    "assert_recovers": "toymodels.testing.recovery",
    "fit": "toymodels.sae.training",
    "fit_many": "toymodels.sae.many",
    "score": "toymodels.scores.scoring",
    "score_many": "toymodels.scores.table",
}
_ROOMS = (
    "classical",
    "exchange",
    "maze",
    "othello",
    "pretrained",
    "sae",
    "scores",
    "sparse_coding",
    "superposition",
    "testing",
    "training",
    "transformer",
)

__all__ = [
    "Fitted",
    "Report",
    "Study",
    "Table",
    "assert_recovers",
    "fit",
    "fit_many",
    "load",
    "score",
    "score_many",
]


def load(name: str | Path, **settings: Any) -> Any:
    """What was saved or shipped under a name.

    Args:
        name: the path of a file that `Fitted.save` wrote (`toymodels.sae.load`), or the
            name of a trained player, such as "othello_small" (`toymodels.pretrained.load`).
        settings: further arguments of either.

    Returns:
        A `Fitted` dictionary, or a player with its game, model and card.

    Raises:
        ValueError: there is no such file or player, or the file is damaged.
    """
    if Path(name).suffix:
        return importlib.import_module("toymodels.sae").load(name, **settings)
    return importlib.import_module("toymodels.pretrained").load(str(name), **settings)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"toymodels.{name}")
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("sae-truth")
    raise AttributeError(
        f"module 'toymodels' has no attribute {name!r}; it has "
        f"{', '.join((*__all__, *_ROOMS))}"
    )


def __dir__() -> list[str]:
    return sorted((*__all__, *_ROOMS, "__version__"))
