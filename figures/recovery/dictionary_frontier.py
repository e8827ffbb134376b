"""Recovery and explained variance of many dictionaries against L0, family by family."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

SCORES = (("mcc_dec", "mcc_dec"), ("explained_variance", "explained variance"))
COLORS = (*style.SERIES, style.BLACK, style.GREY)
MARKERS = (*style.MARKERS, "X", "<")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `WORLD/VARIANT/SCORE` [target, seed]; bars span the seeds."""
    metrics = record["metrics"]
    families, worlds = metrics["families"], metrics["worlds"]
    columns = [(world, *score) for world in worlds for score in SCORES]
    figure = style.new(2.0 * len(columns) + 2.4, 2.3 * len(families) + 0.9)
    panels = figure.subplots(
        len(families), len(columns), squeeze=False, sharex="col", sharey="col"
    )
    for row, (family, names) in zip(panels, families.items(), strict=True):
        for panel, (world, score, _) in zip(row, columns, strict=True):
            _draw_panel(panel, metrics[world], arrays, world, names, score)
        row[0].set_ylabel(f"{family}\n(scores have no unit)")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    for panel, (world, _, label) in zip(panels[0], columns, strict=True):
        panel.set_title(f"{world}: {label}")
    for panel in panels[-1]:
        panel.set_xlabel("active latents (log scale)")
    figure.suptitle(
        "Reconstruction improves with every latent that is on; directions are found near "
        "the true L0 (grey), and not by every variant.\nMedians and range of seeds; dashed "
        "is the true dictionary, dotted are random directions; nothing below -0.05 is drawn"
    )
    return figure


def _draw_panel(
    panel: Axes,
    ends: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    world: str,
    names: Sequence[str],
    score: str,
) -> None:
    for name, color, marker in zip(names, COLORS, MARKERS, strict=False):
        l0, value = (arrays[f"{world}/{name}/{key}"] for key in ("l0", score))
        middle, height = np.median(l0, axis=1), np.median(value, axis=1)
        order = np.argsort(middle)
        spread = np.stack([height - value.min(axis=1), value.max(axis=1) - height])
        panel.errorbar(
            middle[order],
            height[order],
            yerr=spread[:, order],
            color=color,
            marker=marker,
            ms=4,
            lw=1,
            elinewidth=0.6,
            label=name,
        )
    panel.axhline(ends["ceiling"][score], color=style.BLACK, lw=1, ls="--")
    panel.axhline(ends["floor"][score], color=style.GREY, lw=1, ls=":")
    panel.axvline(ends["ceiling"]["true_l0"], color=style.GREY, lw=0.8)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_ylim(-0.05, 1.05)
