"""Three correlated pairs in two dimensions: how many collapse at each density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.superposition.correlated_features import draw_pairs, pair_handles

# Elhage et al. 2022: (lowest density, highest, collapsed pairs); the first that fits.
PUBLISHED = ((0.0, 0.05, 0), (0.05, 0.15, 1), (0.15, 0.2, 2), (0.25, 0.5, 3))


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, the best seed's rows W_i; below, how many pairs collapse in how many seeds."""
    density, best = arrays["density"], arrays["best"]
    figure = style.new(1.3 * max(len(density), 4) + 1.4, 5)
    above, below = figure.subfigures(2, 1, height_ratios=[1.2, 1], squeeze=False)[:, 0]
    panels = above.subplots(1, len(density), squeeze=False)[0]
    for i, panel in enumerate(panels):
        draw_pairs(panel, arrays["W"][i, best[i]])
        count = arrays["collapsed"][i, best[i]]
        panel.set_title(f"density {density[i]:.3g}\n{count} collapsed")
        if i:
            panel.set_yticklabels([])
    panels[0].set_ylabel("hidden dimension 2")
    panels[0].set_xlabel("hidden dimension 1")
    above.legend(handles=pair_handles(3), loc="outside lower center", ncols=5)
    _draw_counts(below.subplots(), arrays)
    figure.suptitle(
        "Pairs that fire together share one direction while they are often on,\n"
        "and open one after another as they get rarer"
    )
    return figure


def published_count(density: float) -> int | None:
    """The paper's number of collapsed pairs, None where it gives none."""
    for low, high, count in PUBLISHED:
        if low <= density <= high:
            return count
    return None


def _draw_counts(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    density, collapsed, best = arrays["density"], arrays["collapsed"], arrays["best"]
    place, bottom = np.arange(len(density)), np.zeros(len(density))
    shades = colormaps["viridis_r"](np.linspace(0.08, 0.92, 4))
    for count, color in enumerate(shades):
        share = (collapsed == count).mean(axis=1)
        label = f"{count} collapsed"
        panel.bar(place, share, bottom=bottom, color=color, width=0.75, label=label)
        bottom += share
    for x in range(len(density)):
        published = published_count(float(density[x]))
        text = f"best {collapsed[x, best[x]]}\npaper "
        text += "-" if published is None else str(published)
        panel.text(x, 1.02, text, ha="center", va="bottom", fontsize=8)
    panel.set_xticks(place, [f"{p:.3g}" for p in density])
    panel.set_xlabel("density: probability that a pair is on")
    panel.set_ylabel(f"share of {collapsed.shape[1]} seeds")
    panel.set(ylim=(0, 1.25), yticks=[0, 0.5, 1], xlim=(-0.6, len(density) - 0.4))
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
