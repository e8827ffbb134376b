"""F1, matched cosine and explained variance against L0, between floors and ceilings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

# Each panel: the score, its label, and its place in a published row.
PANELS = (
    ("latent_f1", "F1 of latents (no unit)", 0),
    ("mcc_dec", "mean matched cosine, mcc_dec (no unit)", 1),
    ("explained_variance", "explained variance (no unit)", 3),
)


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One row per world, from `WORLD/VARIANT/MODE/SCORE` [l0, seed]."""
    metrics, part = record["metrics"], record["settings"]["part"]
    worlds = metrics["worlds"]
    figure = style.new(10.8, 3.3 * len(worlds) + 0.9)
    panels = figure.subplots(len(worlds), len(PANELS), squeeze=False)
    for row, world in zip(panels, worlds, strict=True):
        for panel, (score, label, place) in zip(row, PANELS, strict=True):
            _draw_world(panel, metrics, arrays, world, score)
            if part == 1 and world.startswith("synthsaebench"):
                _draw_published(panel, metrics, place)
            panel.set(ylabel=label, xlabel="latents on per sample, L0")
        row[0].set_title(world)
    keys = [
        Line2D([], [], color=style.SERIES[i], marker=style.MARKERS[i], ms=5, label=name)
        for i, name in enumerate(metrics["variants"])
    ]
    keys += [
        Line2D([], [], color=style.BLACK, ls="--", label="perfect codes, true directions"),
        Line2D([], [], color=style.BLACK, ls="-.", label="perfect codes, hedged"),
        Line2D([], [], color=style.GREY, ls=":", label="random directions"),
        Line2D(
            [], [], color=style.GREY, marker="o", mfc="none", ls="", label="as exported"
        ),
    ]
    if part == 1:
        keys.append(Line2D([], [], color=style.GREY, marker="x", ls="", label="published"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4)
    size = "SynthSAEBench" if part == 1 else f"1 / {part} of SynthSAEBench"
    figure.suptitle(f"{size}: what explains most is not what finds the features")
    return figure


def _draw_world(panel: Axes, metrics, arrays, world: str, score: str) -> None:
    for i, name in enumerate(metrics["variants"]):
        color, marker = style.SERIES[i], style.MARKERS[i]
        for mode, face in (("training", color), ("exported", "none")):
            l0 = arrays[f"{world}/{name}/{mode}/l0"]
            value = arrays[f"{world}/{name}/{mode}/{score}"]
            panel.plot(
                l0.ravel(), value.ravel(), marker, color=color, mfc=face, ms=4.5, alpha=0.8
            )
            if mode == "training":
                order = np.argsort(l0.mean(axis=1))
                middle = l0.mean(axis=1)[order], value.mean(axis=1)[order]
                panel.plot(*middle, color=color, lw=1.2)
    true, hedged = metrics["ceilings"][world].values()
    panel.axhline(true[score], color=style.BLACK, ls="--", lw=1)
    panel.axhline(hedged[score], color=style.BLACK, ls="-.", lw=1)
    panel.axhline(metrics["floor"][world][score], color=style.GREY, ls=":", lw=1)
    panel.axvline(true["l0"], color=style.GREY, lw=0.6)
    panel.set_ylim(bottom=min(0, panel.get_ylim()[0]), top=1.03)


def _draw_published(panel: Axes, metrics, place: int) -> None:
    for l0, rows in metrics["published"].items():
        for i, name in enumerate(metrics["variants"]):
            if name in rows:
                panel.plot(float(l0), rows[name][place], "x", color=style.SERIES[i], ms=6)
