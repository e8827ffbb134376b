"""Directions of features in pairs, best seed per density, and how many seeds succeed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

# Each arrangement: its headline, and what the bars count.
ROWS = {
    "correlated": (
        "Two pairs that fire together: partners stand at right angles",
        "all four features held",
    ),
    "anticorrelated": (
        "Two pairs that never fire together: partners share a line",
        "loss below 1e-6",
    ),
    "three_pairs": (
        "Three pairs that fire together: when sparse enough, a hexagon with partners "
        "side by side",
        "no pair on one line",
    ),
}
MARKERS = ("o", "s")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One row per arrangement: panels of rows W_i, then bars of shares of seeds."""
    n_columns = max(len(arrays[f"{name}/density"]) for name in ROWS)
    figure = style.new(1.75 * (n_columns + 1.6), 7)
    rows = figure.subfigures(len(ROWS), 1, hspace=0.03, squeeze=False)[:, 0]
    for row, (name, (headline, success)) in zip(rows, ROWS.items(), strict=True):
        row.suptitle(headline, fontweight="bold", fontsize=9)
        panels = row.subplots(1, n_columns + 1, width_ratios=[1] * n_columns + [1.3])
        density, best = arrays[f"{name}/density"], arrays[f"{name}/best"]
        for panel in panels[len(density) : n_columns]:
            panel.axis("off")
        for i, panel in enumerate(panels[: len(density)]):
            draw_pairs(panel, arrays[f"{name}/W"][i, best[i]])
            panel.set_title(f"density {density[i]:.3g}")
        panels[0].set_ylabel("hidden dimension 2")
        panels[0].set_xlabel("hidden dimension 1")
        _draw_shares(panels[-1], density, arrays[f"{name}/succeeds"], success)
    figure.legend(handles=pair_handles(3), loc="outside lower center", ncols=5)
    return figure


def draw_pairs(panel: Axes, W: np.ndarray) -> None:
    """Rows W_i from the origin, partners (2i, 2i + 1) in one colour."""
    panel.axhline(0, color="0.9", lw=0.8, zorder=0)
    panel.axvline(0, color="0.9", lw=0.8, zorder=0)
    for i, row in enumerate(W):
        color = style.SERIES[i // 2]
        panel.plot([0, row[0]], [0, row[1]], "-", color=color, lw=1.8)
        panel.plot(*row, MARKERS[i % 2], color=color, ms=5, mec="white", mew=0.6)
    panel.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
    panel.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def pair_handles(n_pairs: int) -> list[Line2D]:
    """Legend entries: a colour for each pair, a mark for each partner."""
    pairs = [
        Line2D([], [], color=style.SERIES[i], lw=2, label=f"pair {i + 1}")
        for i in range(n_pairs)
    ]
    partners = [
        Line2D([], [], color=style.GREY, ls="", marker=mark, label=f"{which} partner")
        for mark, which in zip(MARKERS, ("first", "second"), strict=True)
    ]
    return pairs + partners


def _draw_shares(
    panel: Axes, density: np.ndarray, succeeds: np.ndarray, success: str
) -> None:
    share = succeeds.mean(axis=1)
    place = np.arange(len(density))
    panel.bar(place, share, color=style.GREY, width=0.7)
    for x, value in enumerate(share):
        panel.text(x, value + 0.02, f"{value:.0%}", ha="center", fontsize=7)
    panel.set_xticks(place, [f"{p:.3g}" for p in density])
    panel.set_xlabel("density")
    panel.set(ylim=(0, 1.15), yticks=[0, 0.5, 1])
    panel.set_ylabel(f"share of {succeeds.shape[1]} seeds")
    panel.set_title(success)
