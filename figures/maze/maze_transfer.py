"""Fitted to one kind of mazes, tested on all: F1 of connections as tables in colours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per model."""
    laws = record["metrics"]["laws"]
    models = list(record["metrics"]["scores"])
    figure = style.new(10.5, 3.9)
    panels = figure.subplots(1, len(models))
    for panel, name in zip(panels, models, strict=True):
        values = arrays[f"{name}/f1"][..., 0]
        image = panel.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            color = style.BLACK if value > 0.6 else "white"
            panel.text(j, i, f"{value:.2f}", ha="center", va="center", color=color)
        panel.set_xticks(range(len(laws)), laws)
        panel.set_yticks(range(len(laws)), laws)
        panel.set_xlabel("held-out mazes scored on")
        panel.set_title(name)
    panels[0].set_ylabel("mazes that dictionary and latents were chosen on")
    figure.colorbar(image, ax=panels, label="mean F1 over connections")
    figure.suptitle("Connections found in single latents, from one law of mazes to another")
    return figure
