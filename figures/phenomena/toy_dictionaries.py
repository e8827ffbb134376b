"""Learned directions over the true polygon, a row of dictionaries per condition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

_SHOWN = 8


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`W_dec` [condition, seed, latent, 2] of the first seeds, over `directions`."""
    conditions = record["metrics"]["conditions"]
    count = min(_SHOWN, arrays["W_dec"].shape[1])
    figure = style.new(1.25 * count + 1.4, 1.35 * len(conditions) + 1.1)
    panels = figure.subplots(len(conditions), count, squeeze=False)
    for row, name in enumerate(conditions):
        for seed, panel in enumerate(panels[row]):
            silent = arrays["silent"][row, seed]
            _draw_one(panel, arrays["directions"], arrays["W_dec"][row, seed], silent)
            mark = "full" if arrays["full"][row, seed] else ""
            panel.set_title(mark, color=style.GREEN, pad=2)
        panels[row, 0].set_ylabel(name.replace(", ", ",\n"))
    for seed, panel in enumerate(panels[-1]):
        panel.set_xlabel(f"seed {seed}")
    keys = [
        Line2D([], [], color=style.GREY, lw=5, alpha=0.35, label="true feature"),
        Line2D([], [], color=style.BLUE, marker="o", ms=4, label="latent"),
        Line2D([], [], color=style.ORANGE, marker="x", ls=":", label="dead latent"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3)
    figure.suptitle(
        "Five latents, the first seeds: resampling or a tied start lets them find the truth"
    )
    return figure


def _draw_one(panel: Axes, true: np.ndarray, rows: np.ndarray, silent: np.ndarray) -> None:
    for row in true:
        panel.plot([0, row[0]], [0, row[1]], color=style.GREY, lw=5, alpha=0.35)
    for row, is_dead in zip(rows, silent, strict=True):
        color, mark, line = (style.ORANGE, "x", ":") if is_dead else (style.BLUE, "o", "-")
        panel.plot([0, row[0]], [0, row[1]], line, color=color, lw=1.2)
        panel.plot(*row, mark, color=color, ms=4)
    panel.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", xticks=[], yticks=[])
    for side in panel.spines.values():
        side.set_visible(False)
