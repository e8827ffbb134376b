"""Feature directions of two-dimensional toy models, one panel per density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

# Of models that hold 0, 1, 2, ... features, whichever of these counts occur.
COLORS = (
    *(style.SKY, style.YELLOW, style.BLUE),
    *(style.ORANGE, style.GREEN, style.PURPLE),
)


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, the best seed's rows W_i; below, how many seeds hold how many features."""
    density, best = arrays["density"], arrays["best"]
    figure = style.new(1.5 * max(len(density), 4), 4.2)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.1], squeeze=False)[:, 0]
    panels = above.subplots(1, len(density), squeeze=False)[0]
    for i, panel in enumerate(panels):
        _draw_directions(panel, arrays["W"][i, best[i]], arrays["importance"])
        panel.set_title(f"density {density[i]:.3g}")
    panels[0].set_ylabel("hidden dimension 2")
    panels[0].set_xlabel("hidden dimension 1")
    _draw_counts(below.subplots(), arrays)
    figure.suptitle(
        "As features get sparser, two dimensions hold two, then four, then five of them "
        "(yellow: most important)"
    )
    return figure


def _draw_directions(panel: Axes, W: np.ndarray, importance: np.ndarray) -> None:
    shade = colormaps["viridis"]((importance - importance.min()) / np.ptp(importance))
    for row, color in zip(W, shade, strict=True):
        panel.plot([0, row[0]], [0, row[1]], "-", color=color, lw=1.8)
        panel.plot(*row, "o", color=color, ms=5)
    panel.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[-1, 0, 1])
    panel.set_yticks([-1, 0, 1])


def _draw_counts(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    held = (np.linalg.norm(arrays["W"], axis=-1) > 0.5).sum(-1)
    place, bottom = np.arange(len(held)), np.zeros(len(held))
    for count in np.unique(held):
        share = (held == count).mean(axis=1)
        panel.bar(
            place,
            share,
            bottom=bottom,
            color=COLORS[count % len(COLORS)],
            label=f"{count} features held",
        )
        bottom += share
    panel.set_xticks(place, [f"{p:.3g}" for p in arrays["density"]])
    panel.set_xlabel("density: probability that a feature is present")
    panel.set_ylabel(f"share of {held.shape[1]} seeds")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
