"""Whole mazes at one token: what single latents hold beside what a probe reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

TITLES = {"open": "open connections", "wall": "walls"}
LOOKS = {"trained": (style.BLUE, "o"), "before training": (style.GREY, "s")}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Open connections and walls, by model: dictionaries as points on bars of probes."""
    members = record["metrics"]["members"]
    figure = style.new(11.5, 6.4)
    panels = figure.subplots(2, len(LOOKS), sharey=True, sharex=True)
    place = np.arange(len(members))
    labels = [f"{token} L{layer} k={k:g}" for token, layer, k in members]
    for row, kind in zip(panels, ("open", "wall"), strict=True):
        for panel, (name, (color, marker)) in zip(row, LOOKS.items(), strict=True):
            probes = arrays[f"{name}/{kind}/probes"][:, 0]
            wide = np.repeat(probes, len(members) // len(probes))
            label = "linear probe, all of the stream"
            panel.bar(place, wide, color=style.SKY, alpha=0.5, width=0.9, label=label)
            value, low, high = arrays[f"{name}/{kind}/rows"].T
            panel.errorbar(
                place,
                value,
                [value - low, high - value],
                fmt=marker,
                color=color,
                capsize=2,
                label="single latents",
            )
            panel.axhline(0, color=style.BLACK, lw=0.8)
            panel.set_title(f"{name}: {TITLES[kind]}")
        row[0].set_ylabel("mean F1, corrected")
    for panel in panels[-1]:
        panel.set_xticks(place, labels, rotation=90)
        panel.set_xlabel("token and layer that the dictionary reads, latents on")
    panels[1, 1].legend(loc="lower right")
    figure.suptitle(
        "The whole maze at one token, held-out mazes (0: a latent that is always on)"
    )
    return figure
