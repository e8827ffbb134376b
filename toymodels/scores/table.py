"""Scores of many dictionaries on the same samples: one array [dictionary, seed] a score.

table = score_many(study, world, key)
table["mcc_dec"]                 # [dictionary, seed]
print(table)                     # medians and ranges over the seeds
table.plot("l0", "mcc_dec")
"""

import html
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.base import GroundTruth
from toymodels.scores.report import Report, unknown
from toymodels.scores.scoring import score

_SHOWN = ("mcc_dec", "mcc_act", "feature_f1", "explained_variance", "l0", "dead")
_SHOWN_OF_PRESENCE = ("f1", "f1_corrected", "auroc", "state_f1", "explained_variance", "l0")


@dataclass(frozen=True)
class Table(Mapping[str, Float[np.ndarray, "dictionary seed"]]):
    """Scores by name, each an array [dictionary, seed].

    Attributes:
        names: of the dictionaries, in the order of the rows.
        reports: the whole report of each dictionary and seed, [dictionary][seed].
    """

    names: tuple[str, ...]
    reports: tuple[tuple[Report, ...], ...]

    def __getitem__(self, score: str) -> Float[np.ndarray, "dictionary seed"]:
        if score not in self.reports[0][0].values:
            raise KeyError(unknown(score, list(self)))
        return np.array([[one.values[score] for one in row] for row in self.reports])

    def __iter__(self) -> Iterator[str]:
        return iter(self.reports[0][0].values)

    def __len__(self) -> int:
        return len(self.reports[0][0].values)

    def floor(self, score: str) -> Float[np.ndarray, "dictionary seed"]:
        """What random directions reach at the L0 of each dictionary."""
        return np.array([[one.floor[score] for one in row] for row in self.reports])

    def ceiling(self, score: str) -> float:
        """What the truth itself reaches: the median over all reports."""
        return float(np.median([one.ceiling[score] for row in self.reports for one in row]))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists by score, and the names of the rows."""
        return {"names": list(self.names)} | {name: self[name].tolist() for name in self}

    def to_frame(self) -> Any:
        """A pandas data frame with one row per dictionary and seed (needs pandas)."""
        pandas = importlib.import_module("pandas")
        rows = [
            {"dictionary": name, "seed": seed} | one.values
            for name, row in zip(self.names, self.reports, strict=True)
            for seed, one in enumerate(row)
        ]
        return pandas.DataFrame(rows)

    def plot(self, x: str = "l0", y: str = "mcc_dec") -> Any:
        """A figure of one score against another: a point per fit, floor and ceiling lines.

        Returns:
            A `matplotlib.figure.Figure`, which a notebook shows.

        Raises:
            KeyError: there is no such score; the message names those that are near.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for name, across, up in zip(self.names, self[x], self[y], strict=True):
            axes.plot(across, up, "o", label=name)
        axes.axhline(self.ceiling(y), color="0.5", linewidth=1, label="ceiling")
        floor = float(np.median(self.floor(y)))
        axes.axhline(floor, color="0.5", linewidth=1, linestyle=":", label="floor")
        axes.set(xlabel=x, ylabel=y, title=f"{y} against {x}, one point per seed")
        axes.legend(frameon=False, fontsize=8)
        return figure

    def rows(self) -> list[list[str]]:
        """Cells as text: the header, then one row per dictionary, floor and ceiling."""
        shown = [name for name in (*_SHOWN, *_SHOWN_OF_PRESENCE) if name in self]
        shown = list(dict.fromkeys(shown))
        lines = [["dictionary", *shown]]
        values = {name: self[name] for name in shown}
        for i, name in enumerate(self.names):
            lines.append([name, *(_spread(values[score][i]) for score in shown)])
        lines.append(["floor", *(f"{np.median(self.floor(s)):.3f}" for s in shown)])
        lines.append(["ceiling", *(f"{self.ceiling(s):.3f}" for s in shown)])
        return lines

    def __str__(self) -> str:
        lines = self.rows()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        seeds = len(self.reports[0])
        of_seeds = f"median (range) of {seeds} seeds, " if seeds > 1 else ""
        return "\n".join([*text, f"{of_seeds}on {self.reports[0][0].n_samples:,} samples"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, *body = self.rows()
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in body
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def score_many(
    dictionaries: Mapping[str, Any] | Sequence[Any],
    world: GroundTruth,
    key: Key[Array, ""],
    n_samples: int | None = None,
    pursuit_samples: int = 0,
    **settings: Any,
) -> Table:
    """Scores dictionaries on the same samples of one world.

    Args:
        dictionaries: a `Study`, or name -> dictionary, or name -> one dictionary per seed,
            or a list; each may be anything that `score` takes.
        world: as for `score`.
        key: of the samples, the same for all.
        n_samples: as for `score`.
        pursuit_samples: as for `score`; 0, the default here, leaves out the slow ceilings.
        settings: further arguments of `score`.

    Returns:
        The table of all scores, with each report in it.

    Raises:
        ValueError: there is no dictionary, or their numbers of seeds differ.
    """
    named = _by_name(dictionaries)
    settings = {"draws": 0, "pursuit_samples": pursuit_samples} | settings
    reports = tuple(
        tuple(
            score(one, world, jax.random.clone(key), n_samples=n_samples, **settings)
            for one in of_seeds
        )
        for of_seeds in named.values()
    )
    return Table(tuple(named), reports)


def _by_name(dictionaries: Mapping[str, Any] | Sequence[Any]) -> dict[str, tuple]:
    if not isinstance(dictionaries, Mapping):
        dictionaries = {f"dictionary {i}": one for i, one in enumerate(dictionaries)}
    named = {
        name: tuple(one) if isinstance(one, list | tuple) and not _is_pair(one) else (one,)
        for name, one in dictionaries.items()
    }
    if not named:
        raise ValueError(
            "there is no dictionary, expected at least one; give a study from fit_many or "
            "name -> dictionary"
        )
    counts = {len(row) for row in named.values()}
    if len(counts) > 1:
        raise ValueError(
            f"the dictionaries have {sorted(counts)} seeds, expected as many of each; "
            "score them in several calls"
        )
    return named


def _is_pair(one: Any) -> bool:
    """Whether this is one dictionary, (encode, decode) or (dictionary, params), and not
    two of them.
    """
    if len(one) != 2:
        return False
    whole = [hasattr(part, "encode") for part in one]
    return whole == [True, False] or (whole == [False, False] and callable(one[0]))


def _spread(values: Float[np.ndarray, " seed"]) -> str:
    middle = f"{np.median(values):.3f}"
    return (
        middle if len(values) == 1 else f"{middle} ({values.min():.3f}-{values.max():.3f})"
    )
