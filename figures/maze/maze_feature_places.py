"""What maze players solve and hold, by their loss and their kind of positions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

LOOKS = {"learned": (style.BLUE, "o"), "rotary": (style.ORANGE, "s")}
TITLES = {
    "exact paths": "solved by the exact path",
    "all connections, <ADJLIST_END>": "whole maze, at the end of the list",
    "all connections, <PATH_START>": "whole maze, at <PATH_START>",
    "connection listed, second cell, probe": "connection listed, probe at b",
    "connection listed, second cell, latent": "connection listed, one latent at b",
    "connection listed, semicolon, probe": "connection listed, probe at ;",
    "connection listed, semicolon, latent": "connection listed, one latent at ;",
}
UNITS = {"exact": "share of mazes", "probe": "share right", "latent": "mean F1"}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `SCORE` [position, weight, seed]."""
    metrics = record["metrics"]
    weights = metrics["weights"]
    figure = style.new(13.0, 5.6)
    panels = figure.subplots(2, 4).flat
    for panel, (score, title) in zip(panels, TITLES.items(), strict=False):
        for i, position in enumerate(metrics["positions"]):
            color, marker = LOOKS[position]
            place = np.arange(len(weights)) + 0.16 * (i - 0.5)
            panel.plot(place, arrays[score][i].mean(-1), color=color, lw=1)
            for j, values in enumerate(arrays[score][i]):
                label = f"{position} positions" if j == 0 else None
                at = np.full(len(values), place[j])
                panel.plot(at, values, marker, color=color, ms=5, label=label)
        panel.axhline(
            metrics["control"][score], color=style.GREY, ls="--", label="untrained"
        )
        panel.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        panel.set_xlim(-0.5, len(weights) - 0.5)
        panel.set_ylim(0, 1.03)
        panel.set_title(title)
        last = score.split(", ")[-1].split()[0]
        panel.set_ylabel(UNITS.get(last, "share of connections"))
        panel.set_xlabel("weight of a prompt token in the loss")
    legend = figure.axes[-1]
    legend.axis("off")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend.legend(handles, labels, loc="center")
    figure.suptitle(
        "Where players hold a maze: each point is one player, lines are means over seeds"
    )
    return figure
