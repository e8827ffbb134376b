"""Trained on one kind of mazes, tested on all: a table in colours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two panels: exact paths, and mazes solved by any way."""
    metrics = record["metrics"]
    rows, columns = list(metrics["scores"]), metrics["tests"]
    figure = style.new(11.0, 1.6 + 0.6 * len(rows))
    panels = figure.subplots(1, 2)
    titles = {"exact": "Exact paths", "solved": "Solved, by whatever way"}
    for panel, (score, title) in zip(panels, titles.items(), strict=True):
        values = arrays[score]
        panel.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            color = style.BLACK if value > 0.6 else "white"
            panel.text(j, i, f"{value:.0%}", ha="center", va="center", color=color)
        panel.set_xticks(range(len(columns)), columns, rotation=20, ha="right")
        panel.set_yticks(range(len(rows)), rows)
        panel.set_xlabel("held-out mazes tested on")
        panel.set_title(title)
    panels[0].set_ylabel("trained on")
    return figure
