"""What a dictionary's scores are handed back in: printed, in a notebook, drawn, as data."""

import difflib
import html
import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

_SHOWN = ("mcc_dec", "mcc_act", "feature_f1", "auroc", "amplitude_slope", "l0")
_SHOWN_OF_PRESENCE = ("f1", "f1_corrected", "state_f1")
_LAST = ("explained_variance",)
_COUNTS = ("l0", "true_l0", "latents_per_feature", "features_per_latent")


@dataclass(frozen=True)
class Report:
    """Scores of one dictionary, with floors and ceilings.

    Attributes:
        values: name to score.
        floor: the same for random directions at the same L0.
        ceiling: the same for the true codes and directions.
        n_samples: how many samples the scores rest on.
        intervals: name to the ends of the 95 % interval that resampling the blocks gives
            (`scores.intervals.bootstrap`); scores of the decoder alone have none.
        controls: name of a control to its scores; the floor is among them.
        ceilings: name of a ceiling to its scores; the ceiling is among them.
        by_frequency: recall, F1 and cosine of the features in five bins, rarest first.
        flags: what makes the scores doubtful, in sentences.
    """

    values: dict[str, float]
    floor: dict[str, float]
    ceiling: dict[str, float]
    n_samples: int
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    ceilings: dict[str, dict[str, float]] = field(default_factory=dict)
    by_frequency: dict[str, list[float]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> float:
        if name not in self.values:
            raise KeyError(unknown(name, list(self.values)))
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; None for what could not be measured."""
        return _plain(asdict(self))

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_frame(self) -> Any:
        """A pandas data frame with a row per score (needs pandas)."""
        pandas = importlib.import_module("pandas")
        columns = {"value": self.values, "floor": self.floor, "ceiling": self.ceiling}
        return pandas.DataFrame(columns, index=list(self.values))

    def plot(self) -> Any:
        """A figure: each score from 0 to 1 between its floor and its ceiling.

        Returns:
            A `matplotlib.figure.Figure`, which a notebook shows.
        """
        from matplotlib.figure import Figure

        ends = ((self.values, self.floor, self.ceiling)[i] for i in range(3))
        inside = [
            name
            for name in self.values
            if name not in _COUNTS
            and all(0 <= one.get(name, np.nan) <= 1 for one in (self.values, self.floor))
        ]
        figure = Figure(figsize=(5.6, 0.6 + 0.22 * len(inside)), layout="constrained")
        axes = figure.subplots()
        rows = np.arange(len(inside))[::-1]
        styles = (
            ("o", "#0072B2", "value"),
            ("|", "#777777", "floor"),
            ("|", "k", "ceiling"),
        )
        for of, (marker, color, label) in zip(ends, styles, strict=True):
            shown = [of.get(name, np.nan) for name in inside]
            axes.plot(shown, rows, marker, color=color, label=label, markersize=8)
        axes.set(xlim=(-0.03, 1.03), xlabel="score", yticks=rows, yticklabels=inside)
        axes.set_title("Each score between its floor and its ceiling")
        axes.grid(axis="x", linewidth=0.3)
        axes.legend(frameon=False, fontsize=8, loc="lower center", ncols=3)
        return figure

    def __repr__(self) -> str:
        """The table of `print`, as notebooks and the interpreter show it."""
        return str(self)

    def _repr_html_(self) -> str:
        rows = [
            (name, value, *self._ends(name), self.intervals.get(name))
            for name, value in self.values.items()
        ]
        beside = [
            (name, *(others.get(one, np.nan) for one in self._shown()))
            for name, others in (self.controls | self.ceilings).items()
        ]
        flags = "".join(f"<li>{html.escape(flag)}</li>" for flag in self.flags)
        return (
            _html_table(("score", "value", "floor", "ceiling", "95 % interval"), rows)
            + _html_table(("beside it", *self._shown()), beside)
            + (f"<ul>{flags}</ul>" if flags else "")
            + f"<p>on {self.n_samples:,} samples</p>"
        )

    def _ends(self, name: str) -> tuple[float, float]:
        """Floor and ceiling; NaN where a score has none."""
        return self.floor.get(name, np.nan), self.ceiling.get(name, np.nan)

    def _shown(self) -> list[str]:
        """The scores that controls and ceilings are shown by."""
        return [
            name for name in (*_SHOWN, *_SHOWN_OF_PRESENCE, *_LAST) if name in self.values
        ]

    def __str__(self) -> str:
        lines = [
            f"{'score':<24}{'value':>9}{'floor':>9}{'ceiling':>9}{'95 % interval':>20}"
        ]
        for name, value in self.values.items():
            ends = self.intervals.get(name)
            between = "" if ends is None else f"{ends[0]:>11.3f}{ends[1]:>9.3f}"
            numbers = "".join(f"{_number(one):>9}" for one in (value, *self._ends(name)))
            lines.append(f"{name:<24}{numbers}{between}".rstrip())
        shown = self._shown()
        wide = max(24, 2 + max(map(len, self.controls | self.ceilings), default=0))
        titles = (name.replace("explained_variance", "explained_var.") for name in shown)
        lines += ["", f"{'beside it':<{wide}}" + "".join(f"{name:>16}" for name in titles)]
        for name, others in (self.controls | self.ceilings).items():
            cells = (_number(others.get(one, np.nan)) for one in shown)
            lines.append(f"{name:<{wide}}" + "".join(f"{cell:>16}" for cell in cells))
        lines += ["", *(f"! {flag}" for flag in self.flags)]
        return "\n".join([*lines, f"on {self.n_samples:,} samples"])


def _number(value: float) -> str:
    """Three decimals; nothing where there is no number."""
    return "" if np.isnan(value) else f"{value:.3f}"


def unknown(name: str, known: Sequence[str]) -> str:
    """What a KeyError says of a score that does not exist."""
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
    inside = [one for one in known if name in one and one not in near]
    hint = ", ".join([*near, *inside][:4]) or ", ".join(known)
    return f"there is no score {name!r}; near it are {hint}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _html_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Names, numbers and the ends of intervals, one row a line."""

    def shown(cell):
        if isinstance(cell, str):
            return html.escape(cell)
        ends = () if cell is None else cell if isinstance(cell, tuple) else (cell,)
        return " to ".join(f"{end:.3f}" for end in ends)

    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    lines = ("".join(f"<td>{shown(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<tr>{titles}</tr>\n{body}\n</table>\n"
