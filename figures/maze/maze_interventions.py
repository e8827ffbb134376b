"""How much of an edited prompt's effect an edit of the stream has, by site."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

LOOKS = {
    "mean difference": (style.BLUE, "o"),
    "probe": (style.GREEN, "s"),
    "latents": (style.ORANGE, "D"),
    "another pair": (style.GREY, "^"),
    "random direction": (style.BLACK, "v"),
}
TITLES = {
    "swap": "swap: a connection of the path goes",
    "add": "add: a shortcut comes",
    "remove": "remove: the shortcut goes",
}
LINES = ("-", "--")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `KIND/EDIT` [place, site] and the scores of each edit where it works best."""
    metrics = record["metrics"]
    figure = style.new(13.0, 7.6)
    panels = figure.subplots(2, 3, sharey="row")
    for column, (kind, title) in zip(panels.T, TITLES.items(), strict=True):
        _draw_sites(column[0], arrays, kind, metrics["sites"])
        column[0].set_title(title)
        _draw_steps(column[1], metrics["found"][kind])
    panels[0, 0].set_ylabel("share of the edited prompt's effect")
    panels[1, 0].set_ylabel("share of first steps")
    panels[0, 2].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    panels[1, 2].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(
        "Edits of one connection in a player's stream, against the exact first step of the "
        "edited maze.\nAbove: full lines at b, dashed at ; of the slot a <--> b ;"
    )
    return figure


def _draw_sites(panel: Axes, arrays: Mapping[str, np.ndarray], kind: str, sites) -> None:
    for name, (color, marker) in LOOKS.items():
        for line, values in zip(LINES, arrays[f"{kind}/{name}"], strict=True):
            if np.isnan(values).all():
                continue
            label = name if line == "-" else None
            panel.plot(values, line, marker=marker, ms=4, color=color, label=label)
    panel.axhline(1, color=style.BLACK, lw=0.8, ls=":")
    panel.axhline(0, color=style.BLACK, lw=0.8)
    panel.set_xticks(range(len(sites)), sites, rotation=45, ha="right")
    panel.set_xlabel("site that is edited")
    low = min(np.nanmin(arrays[f"{kind}/{name}"]) for name in LOOKS)
    panel.set_ylim(max(-0.3, low) - 0.05, 1.05)


def _draw_steps(panel: Axes, found: Mapping[str, Mapping[str, float]]) -> None:
    place = np.arange(len(found))
    legal = [row["legal"] for row in found.values()]
    best = [row["best"] for row in found.values()]
    panel.bar(place - 0.2, legal, 0.4, color=style.SKY, label="legal in the edited maze")
    panel.bar(place + 0.2, best, 0.4, color=style.BLUE, label="best in the edited maze")
    panel.set_xticks(place, list(found), rotation=45, ha="right")
    panel.set_ylim(0, 1.03)
    panel.set_xlabel("what is edited")
