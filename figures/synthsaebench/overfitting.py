"""Explained variance against matched cosine: where they agree, and where they do not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

TITLES = {
    "synthsaebench_v2": "four features to a latent, in trees",
    "crowded": "a latent for every feature, crowded",
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per world, from `WORLD/VARIANT/SCORE` [seed]."""
    metrics = record["metrics"]
    figure = style.new(9.2, 4.0)
    panels = figure.subplots(1, len(metrics["worlds"]), squeeze=False)[0]
    for panel, world in zip(panels, metrics["worlds"], strict=True):
        _draw_world(panel, metrics, arrays, world)
        panel.set_title(TITLES.get(world, world))
        panel.set_xlabel("explained variance (no unit)")
    panels[0].set_ylabel("mean matched cosine, mcc_dec (no unit)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle("To explain more than right codes can is not to find the features")
    return figure


def _draw_world(panel: Axes, metrics, arrays, world: str) -> None:
    for i, name in enumerate(metrics["variants"]):
        explained = arrays[f"{world}/{name}/explained_variance"]
        found = arrays[f"{world}/{name}/mcc_dec"]
        color, marker = style.SERIES[i], style.MARKERS[i]
        panel.plot(explained, found, ls="", ms=7, label=name, color=color, marker=marker)
    true, hedged = metrics["ceilings"][world].values()
    at = ("explained_variance", "mcc_dec")
    panel.plot(true[at[0]], true[at[1]], "*", color=style.BLACK, ms=11, label="right codes")
    panel.plot(
        *(hedged[n] for n in at),
        "*",
        color=style.BLACK,
        mfc="none",
        ms=11,
        label="right codes, hedged",
    )
    panel.axvline(hedged["explained_variance"], color=style.BLACK, ls="-.", lw=0.9)
    chance = metrics["floor"][world]["mcc_dec"]
    panel.axhline(chance, color=style.GREY, ls=":", lw=1, label="random directions")
    panel.set_ylim(min(0.35, chance - 0.05), 1.05)
