"""Recovery and explained variance against L0, between floor and ceiling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

PANELS = (
    ("mcc_dec", "mean matched cosine, mcc_dec"),
    ("feature_f1", "F1 of matched latents"),
    ("explained_variance", "explained variance"),
)


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Three panels from `score/NAME/SCORE` [penalty, seed]."""
    figure = style.new(10.8, 3.9)
    panels = figure.subplots(1, len(PANELS))
    for panel, (score, label) in zip(panels, PANELS, strict=True):
        _draw_score(panel, record, arrays, score)
        panel.set_ylabel(f"{label} (no unit)")
        panel.set_xlabel("active latents per sample, L0 (log scale)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    figure.suptitle(
        "Learned directions come close to the ceiling; with a frozen decoder only the "
        "reconstruction leaves the floor"
    )
    return figure


def _draw_score(
    panel: Axes, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], score: str
) -> None:
    for i, name in enumerate(record["metrics"]["variants"]):
        l0, value = arrays[f"score/{name}/l0"], arrays[f"score/{name}/{score}"]
        color, marker = style.SERIES[i], style.MARKERS[i]
        panel.plot(
            l0.ravel(), value.ravel(), marker, color=color, ms=3.5, alpha=0.35, mew=0
        )
        middle, order = np.median(l0, axis=1), np.argsort(np.median(l0, axis=1))
        panel.plot(
            middle[order],
            np.median(value, axis=1)[order],
            marker=marker,
            color=color,
            ms=5,
            label=f"{name}, median",
        )
    controls = record["metrics"]
    panel.axhline(
        controls["ceiling"][score], color=style.BLACK, lw=1, ls="--", label="ceiling"
    )
    panel.axhline(controls["floor"][score], color=style.GREY, lw=1, ls=":", label="floor")
    panel.axvline(controls["ceiling"]["true_l0"], color=style.GREY, lw=0.8, label="true L0")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_ylim(min(0, panel.get_ylim()[0]), 1.03)
