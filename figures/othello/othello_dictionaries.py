"""What dictionaries detect of Othello boards, against L0, between floors and a ceiling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

PANELS = {
    "squares": "mine and theirs: coverage",
    "legal": "legal moves: coverage",
    "board": "whole boards: F1",
}
LINES = {
    "probes": (style.BLACK, "--", "linear probes"),
    "neurons": (style.BLACK, ":", "MLP neurons, no dictionary"),
}
FLOORS = {
    "random": ("o", "BatchTopK, model before training"),
    "labels of another game": ("x", "BatchTopK, labels of another game"),
    "permuted labels": ("+", "BatchTopK, permuted labels"),
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per score: means over seeds, bars over the intervals of all of them."""
    variants = record["metrics"]["variants"]
    figure = style.new(12.0, 4.0)
    panels = figure.subplots(1, len(PANELS))
    for panel, (score, title) in zip(panels, PANELS.items(), strict=True):
        for i, name in enumerate(variants):
            look = {
                "color": style.SERIES[i % len(style.SERIES)],
                "marker": style.MARKERS[i % len(style.MARKERS)],
                "ls": "-" if i < len(style.SERIES) else "--",
            }
            _draw_line(panel, arrays, f"trained/{name}", score, name, **look)
        for name, (marker, label) in FLOORS.items():
            path = next(p for p in arrays if p.startswith(name) and p.endswith("/l0"))
            look = {"color": style.GREY, "marker": marker, "ls": ":"}
            _draw_line(panel, arrays, path.removesuffix("/l0"), score, label, **look)
        for name, (color, line, label) in LINES.items():
            value = arrays[f"{name}/{score}/corrected"][0, 0, 0]
            panel.axhline(value, color=color, ls=line, lw=1, label=label)
        panel.axhline(0, color=style.GREY, lw=0.8, label="an always-on latent")
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        low, high = panel.get_xlim()
        panel.set_xlim(low / 1.2, high * 1.2)
        panel.set_xlabel("latents on in a position, L0 (log scale)")
        panel.set_title(title)
    panels[0].set_ylabel("score above chance (1 is perfect)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle("What latents tell of the board, on games that they were not chosen on")
    return figure


def _draw_line(
    panel: Axes, arrays: Mapping[str, np.ndarray], path: str, score: str, label: str, **look
) -> None:
    l0 = arrays[f"{path}/l0"].mean(axis=1)
    order = np.argsort(l0)
    found = arrays[f"{path}/{score}/corrected"][order]
    value = found[..., 0].mean(axis=1)
    low, high = found[..., 1].min(axis=1), found[..., 2].max(axis=1)
    panel.errorbar(
        l0[order],
        value,
        yerr=np.maximum([value - low, high - value], 0),
        ms=4,
        lw=1,
        elinewidth=0.6,
        label=label,
        **look,
    )
