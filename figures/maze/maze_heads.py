"""Heads by where they look and by what the next step loses without them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Three panels: attention on open and walled neighbours, the score, the cost."""
    metrics = record["metrics"]
    figure = style.new(11.0, 3.8)
    looks, score, cost = figure.subplots(1, 3)
    names = [f"L{i + 1}H{j + 1}" for i, j in np.ndindex(arrays["trained/score"].shape)]
    _draw_bars(
        looks,
        names,
        {
            "open": (arrays["trained/open"], style.BLUE),
            "behind a wall": (arrays["trained/walled"], style.ORANGE),
        },
    )
    looks.set_ylabel("attention on a neighbouring cell (no unit)")
    looks.set_title("Where heads look from the path's cell")
    _draw_bars(
        score,
        names,
        {
            "trained": (arrays["trained/score"], style.BLUE),
            "before training": (arrays["control/score"], style.GREY),
        },
    )
    score.axhline(metrics["null"], color=style.BLACK, ls="--", lw=1, label="uniform")
    score.set_ylabel("adjacency score: open less walled (no unit)")
    score.set_title("The score of every head")
    _draw_bars(
        cost,
        names,
        {
            "open": (arrays["lost/legal"], style.BLUE),
            "best": (arrays["lost/best"], style.PURPLE),
        },
    )
    cost.set_ylabel("share of next steps lost (no unit)")
    cost.set_title("What the next step loses without the head")
    for panel in (looks, score, cost):
        panel.set_xlabel("layer and head")
        panel.legend()
    return figure


def _draw_bars(
    panel: Axes, names: list[str], series: Mapping[str, tuple[np.ndarray, str]]
) -> None:
    place = np.arange(len(names))
    for i, (label, (values, color)) in enumerate(series.items()):
        width = 0.8 / len(series)
        panel.bar(
            place + (i - 0.5) * width, np.ravel(values), width, color=color, label=label
        )
    panel.axhline(0, color=style.BLACK, lw=0.6)
    panel.set_xticks(place, names, rotation=60)
