"""Learned rows over features and diagonals, and who is found as one-hot samples come in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

_SHOWN = 6


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above `W_dec` [law, penalty, one_hot, seed, latent, 2]; below who was found."""
    metrics = record["metrics"]
    x = arrays["one_hot"]
    shown = np.unique(np.linspace(0, len(x) - 1, min(_SHOWN, len(x))).round().astype(int))
    figure = style.new(10.6, 7.0)
    above, below = figure.subfigures(2, 1, height_ratios=[1.1, 1], squeeze=False)[:, 0]
    panels = above.subplots(len(metrics["laws"]), len(shown), squeeze=False)
    for law, name in enumerate(metrics["laws"]):
        for panel, place in zip(panels[law], shown, strict=True):
            _draw_rows(panel, arrays["W_dec"][law, -1, place])
        panels[law, 0].set_ylabel(name)
    for panel, place in zip(panels[0], shown, strict=True):
        panel.set_title(f"{x[place]:.0%} one-hot")
    keys = [
        Line2D([], [], color=style.GREY, lw=4, alpha=0.35, label="true feature"),
        Line2D([], [], color=style.YELLOW, lw=4, alpha=0.5, label="composition"),
        Line2D(
            [], [], color=style.BLUE, marker="o", ms=3, ls="", label="latents, all seeds"
        ),
    ]
    above.legend(handles=keys, loc="outside lower center", ncols=3)
    charts = below.subplots(1, len(metrics["laws"]), sharey=True, squeeze=False)[0]
    for law, panel in enumerate(charts):
        _draw_shares(panel, law, metrics, arrays)
    charts[0].set_ylabel("share of dictionaries")
    charts[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle("Dictionaries find compositions until samples show features alone")
    return figure


def _draw_rows(panel: Axes, rows: np.ndarray) -> None:
    """The latents [seed, latent, 2] of all seeds as points on the circle."""
    for k in range(8):
        angle = k * np.pi / 4
        colour, alpha = (style.YELLOW, 0.5) if k % 2 else (style.GREY, 0.35)
        ends = [0, np.cos(angle)], [0, np.sin(angle)]
        panel.plot(*ends, color=colour, alpha=alpha, lw=4, solid_capstyle="butt")
    points = rows.reshape(-1, 2)
    panel.plot(points[:, 0], points[:, 1], "o", color=style.BLUE, ms=3, alpha=0.6, mew=0)
    panel.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xticks=[], yticks=[])
    for side in panel.spines.values():
        side.set_visible(False)


def _draw_shares(
    panel: Axes, law: int, metrics: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    x = arrays["one_hot"]
    panel.plot(
        arrays["fine"],
        arrays["predicted"][law],
        color=style.YELLOW,
        lw=7,
        alpha=0.3,
        label="composed, predicted",
    )
    for name, colour in (("composed", style.YELLOW), ("true", style.BLACK)):
        for i, penalty in enumerate(metrics["penalties"]):
            panel.plot(
                x,
                arrays[name][law, i].mean(axis=-1),
                ("-", "--", ":")[i % 3],
                color=colour,
                marker=style.MARKERS[i],
                ms=4,
                label=f"{name}, penalty {penalty:g}",
            )
    panel.axvline(
        metrics["threshold"][law], color=style.BLUE, lw=1, label="truth becomes cheaper"
    )
    panel.set_title(metrics["laws"][law])
    panel.set_xlabel("share of one-hot samples")
    panel.set_ylim(-0.03, 1.03)
