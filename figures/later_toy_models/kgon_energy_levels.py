"""Losses that fall from one exact level to the next."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """The exact loss of every model against the steps, one panel per optimizer."""
    levels = record["metrics"]["levels"]
    names = [key.split("/")[1] for key in arrays if key.startswith("loss/")]
    figure = style.new(5 * len(names) + 0.6, 4)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for name, panel in zip(names, panels, strict=True):
        _draw_curves(panel, arrays[f"step/{name}"], arrays[f"loss/{name}"], levels)
        panel.set_title(f"{arrays[f'loss/{name}'].shape[1]} models trained by {name}")
    panels[0].set_ylabel("exact expected loss, sum over outputs")
    for level, loss in levels.items():
        panels[-1].annotate(
            level,
            (1, loss),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    figure.suptitle(
        "Training rests on the levels of regular polygons (dashed; +: a dropped feature is "
        "answered with its mean)"
    )
    return figure


def _draw_curves(
    panel: Axes, step: np.ndarray, loss: np.ndarray, levels: Mapping[str, float]
) -> None:
    ends = np.array(list(levels.values()))
    for curve in loss.T:
        place = int(np.abs(ends - curve[-1]).argmin())
        panel.plot(step, curve, "-", color=style.SERIES[place], lw=1, alpha=0.7)
    for place, level in enumerate(levels.values()):
        panel.axhline(level, color=style.SERIES[place], lw=0.9, ls="--")
    panel.set(xscale="log", yscale="log", ylim=(0.045, 0.27), xlim=(step[0], step[-1]))
    panel.set_yticks([0.05, 0.07, 0.1, 0.15, 0.2])
    panel.set_yticks([], minor=True)
    panel.yaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
    panel.set_xlabel("updates")
