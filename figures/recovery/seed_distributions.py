"""The spread of a score over seeds, one row per recipe."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Every seed a point and the median a bar, from `mcc_dec/RECIPE` [seed]."""
    labels = record["metrics"]["recipes"]
    figure = style.new(7.6, 0.5 * len(labels) + 1.3)
    panel = figure.subplots()
    for row, label in enumerate(labels):
        values = np.sort(arrays[f"mcc_dec/{label}"])
        color = style.BLUE if label.startswith("easy") else style.ORANGE
        height = row + 0.5 * (np.arange(len(values)) / max(len(values) - 1, 1) - 0.5)
        panel.plot(values, height, "o", color=color, ms=4, alpha=0.7, mew=0)
        panel.plot(
            [np.median(values)] * 2, [row - 0.35, row + 0.35], color=style.BLACK, lw=1.5
        )
    panel.axvline(
        record["metrics"]["floor"], color=style.GREY, ls=":", label="floor (hard)"
    )
    panel.axvline(1.0, color=style.BLACK, ls="--", lw=1, label="ceiling")
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylabel("world, recipe")
    panel.invert_yaxis()
    panel.set_xlabel("mean matched cosine, mcc_dec (no unit); bar: median")
    panel.set_title(f"Each remedy frees more of {len(values)} seeds from their traps")
    panel.legend(loc="lower center")
    return figure
