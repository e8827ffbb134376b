"""Recovery and explained variance of many dictionaries against L0, world by world."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

ROWS = (
    ("mcc_dec", "mean matched cosine, mcc_dec"),
    ("explained_variance", "explained variance"),
)


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `WORLD/VARIANT/SCORE` [target, seed]; bars span the seeds."""
    metrics = record["metrics"]
    worlds = metrics["worlds"]
    figure = style.new(3.4 * len(worlds) + 2.4, 6.4)
    panels = figure.subplots(len(ROWS), len(worlds), squeeze=False, sharex="col")
    for row, (score, label) in zip(panels, ROWS, strict=True):
        for panel, world in zip(row, worlds, strict=True):
            _draw_world(panel, metrics, arrays, world, score)
        row[0].set_ylabel(f"{label} (no unit)")
    for panel, world in zip(panels[0], worlds, strict=True):
        panel.set_title(f"the {world} world")
    for panel in panels[-1]:
        panel.set_xlabel("active latents per sample, L0 (log scale)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(
        "Reconstruction improves with every latent that is on; directions are found near "
        "the true L0, and not by every variant"
    )
    return figure


def _draw_world(
    panel: Axes,
    metrics: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    world: str,
    score: str,
) -> None:
    for i, name in enumerate(metrics["variants"]):
        l0, value = (arrays[f"{world}/{name}/{key}"] for key in ("l0", score))
        middle, height = np.median(l0, axis=1), np.median(value, axis=1)
        order = np.argsort(middle)
        spread = np.stack([height - value.min(axis=1), value.max(axis=1) - height])
        panel.errorbar(
            middle[order],
            height[order],
            yerr=spread[:, order],
            color=style.SERIES[i % len(style.SERIES)],
            marker=style.MARKERS[i % len(style.MARKERS)],
            ls=("-", "--", ":")[i // len(style.SERIES) % 3],
            ms=4,
            lw=1,
            elinewidth=0.6,
            label=f"{name}, median",
        )
    controls = metrics[world]
    panel.axhline(
        controls["ceiling"][score], color=style.BLACK, lw=1, ls="--", label="ceiling"
    )
    panel.axhline(controls["floor"][score], color=style.GREY, lw=1, ls=":", label="floor")
    panel.axvline(controls["ceiling"]["true_l0"], color=style.GREY, lw=0.8, label="true L0")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_ylim(min(0, panel.get_ylim()[0]), 1.03)
