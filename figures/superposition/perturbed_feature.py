"""Two loss curves that cross when one of five features gets rarer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, the best trained rows at each ratio; below, the losses."""
    figure = style.new(9.5, 5.6)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.9], squeeze=False)[:, 0]
    ratios = arrays["trained_ratio"]
    panels = above.subplots(1, len(ratios), squeeze=False)[0]
    for ratio, rows, panel in zip(ratios, arrays["winner"], panels, strict=True):
        _draw_rows(panel, rows)
        panel.set_title(f"ratio {ratio:g}")
    left, right = below.subplots(1, 2, width_ratios=[1.5, 1])
    _draw_ratios(left, arrays, record["metrics"]["crossing"])
    _draw_densities(right, arrays, record["metrics"]["uniform_crossing"])
    figure.suptitle(
        "A feature that gets rarer (orange) bends the pentagon, then is given up at once"
    )
    return figure


def _draw_rows(panel: Axes, rows: np.ndarray) -> None:
    """The rows, turned so that the first points upward, or if it is short the second."""
    first = rows[0] if np.linalg.norm(rows[0]) > 0.5 else rows[1]
    x, y = first / np.linalg.norm(first)
    rows = rows @ np.array([[y, x], [-x, y]])
    colours = [style.ORANGE, *[style.BLUE] * 4]
    for row, colour in reversed(list(zip(rows, colours, strict=True))):
        panel.plot([0, row[0]], [0, row[1]], "-", color=colour, lw=1.8)
        panel.plot(*row, "o", color=colour, ms=5)
    panel.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[], yticks=[])
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)


def _draw_ratios(panel: Axes, arrays: Mapping[str, np.ndarray], crossing: float) -> None:
    x = arrays["ratio"]
    panel.plot(x, 1e3 * arrays["pentagon"], "-", color=style.BLUE, label="pentagon, exact")
    near = x <= 1
    panel.plot(
        x[near],
        1e3 * arrays["digons"][near],
        "-",
        color=style.GREEN,
        label="two digons, exact",
    )
    panel.plot(
        arrays["trained_ratio"],
        1e3 * arrays["loss"].min(axis=1),
        "o",
        color=style.BLACK,
        ms=5,
        label=f"best of {arrays['loss'].shape[1]} trained models",
    )
    panel.axvline(
        crossing, color=style.GREY, lw=1, ls="--", label=f"crossing {crossing:.3f}"
    )
    panel.axvline(0.4, color=style.GREY, lw=1, ls=":", label="published: about 1/2.5")
    panel.set(xscale="log", ylim=(0.7, 3.3))
    panel.set_xticks([0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 3])
    panel.set_xticks([], minor=True)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("density of the varied feature / density of the others")
    panel.set_ylabel("expected loss x 1000, mean over features")
    panel.legend()


def _draw_densities(panel: Axes, arrays: Mapping[str, np.ndarray], crossing: float) -> None:
    x = arrays["density"]
    for name, colour, label in (
        ("pentagon", style.BLUE, "pentagon"),
        ("digons", style.GREEN, "two digons"),
    ):
        share = arrays[f"uniform/{name}"] / arrays["uniform/pentagon"]
        panel.plot(x, share, "o-", color=colour, label=label)
    panel.axvline(
        crossing, color=style.GREY, lw=1, ls="--", label=f"crossing {crossing:.3f}"
    )
    panel.set_xlabel("density of all five features")
    panel.set_ylabel("exact loss / loss of the pentagon")
    panel.legend()
