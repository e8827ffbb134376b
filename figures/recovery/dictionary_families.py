"""A page of every dictionary's scores against L0: one figure for each family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import page, style

SCORES = {
    "mcc_dec": "matched cosine, mcc_dec",
    "explained_variance": "explained variance",
}
COLORS = (*style.SERIES, style.BLACK, style.GREY)
MARKERS = (*style.MARKERS, "X", "<")
EXPECT = (
    "Most variants reach a matched cosine near 1 close to the true L0 (grey line) and lose "
    "it where they are given too few or too many latents. Explained variance rises with "
    "L0, whether or not the features were found. Medians and range of seeds; dashed is the "
    "true dictionary, dotted are random directions; nothing below -0.05 is drawn."
)


def write(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], path: Path
) -> list[Path]:
    """Writes `path`.html and, beside it, a picture of each family as PNG and SVG."""
    pictures = []
    for i, family in enumerate(record["metrics"]["families"]):
        stem = path.with_name(f"{path.name}_{i + 1}")
        pictures += style.save(draw(record, arrays, family), stem)
    section = {
        "name": record["name"],
        "question": "Every dictionary against the number of its active latents",
        "source": "The papers of the variants; see toymodels/sae",
        "expect": EXPECT,
        "pictures": [picture.name for picture in pictures if picture.suffix == ".png"],
        "checks": record["checks"],
        "seconds": record["seconds"]["total"],
        "device": record["device"],
    }
    title = "Dictionaries, family by family"
    return [page.write(path.with_suffix(".html"), title, [section]), *pictures]


@style.styled
def draw(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], family: str
) -> Figure:
    """One family, from `WORLD/VARIANT/SCORE` [target, seed]; bars span the seeds."""
    metrics = record["metrics"]
    worlds, names = metrics["worlds"], metrics["families"][family]
    figure = style.new(3.1 * len(worlds) + 2.0, 5.2)
    panels = figure.subplots(
        len(SCORES), len(worlds), squeeze=False, sharex="col", sharey=True
    )
    for row, (score, label) in zip(panels, SCORES.items(), strict=True):
        for panel, world in zip(row, worlds, strict=True):
            _draw_panel(panel, metrics[world], arrays, world, names, score)
        row[0].set_ylabel(f"{label} (no unit)")
    for panel, world in zip(panels[0], worlds, strict=True):
        panel.set_title(world)
    for panel in panels[-1]:
        panel.set_xlabel("active latents per sample, L0 (log scale)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(f"{family}: directions are found near the true L0 (grey)")
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
