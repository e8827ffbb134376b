"""Capacity by importance, sharing by kurtosis, and one model's blocks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `capacity/LAW` [density, seed, feature] and the drawn model's `W`."""
    figure = style.new(11.0, 3.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.1, 1, 1.05])
    _draw_capacity(left, record["metrics"]["densities"], arrays["capacity/uniform"])
    _draw_sharing(middle, record["metrics"])
    image = _draw_blocks(right, arrays["W"], arrays["block"])
    right.set_title(f"one model at density {float(arrays['density']):g}: its blocks")
    figure.colorbar(image, ax=right, label="$W_i \\cdot W_j$", shrink=0.8)
    figure.suptitle(
        "Important features get a dimension, unimportant ones none; "
        "the sparser, the more of them share"
    )
    return figure


def _draw_capacity(panel: Axes, densities: list[float], found: np.ndarray) -> None:
    place = np.arange(found.shape[-1])
    shades = colormaps["viridis"](np.linspace(0, 0.92, len(densities)))
    for density, capacities, color in zip(densities, found, shades, strict=True):
        panel.plot(
            place, capacities.mean(axis=0), "o-", color=color, ms=3.5, label=f"{density:g}"
        )
    panel.legend(title="density")
    panel.set(
        ylim=(-0.03, 1.05),
        xticks=place[::2],
        xlabel="feature, most important first",
        ylabel="capacity (dimensions)",
        title=f"mean of {found.shape[1]} seeds, uniform values",
    )


def _draw_sharing(panel: Axes, metrics: Mapping[str, Any]) -> None:
    for i, (law, shared) in enumerate(metrics["shared"].items()):
        panel.plot(
            metrics["kurtosis"][law],
            shared,
            marker=style.MARKERS[i],
            color=style.SERIES[i],
            ms=4.5,
            label=law,
        )
    panel.legend(title="law of the values")
    ticks = [1, 2, 5, 10, 20, 50, 100]
    panel.set(
        xscale="log",
        ylim=(-0.03, 1.0),
        xlabel="kurtosis of a feature, $E x^4 / (E x^2)^2$",
        ylabel="share of features with a fraction",
        title="all seeds: 0.05 < capacity < 0.95",
    )
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()


def _draw_blocks(panel: Axes, W: np.ndarray, block: np.ndarray):
    """`block` [feature] counts from 0; -1 is a feature that is not held."""
    order = np.argsort(np.where(block < 0, len(block), block), kind="stable")
    rows = W[order]
    image = panel.imshow(rows @ rows.T, cmap="RdBu_r", vmin=-1, vmax=1)
    corner = -0.5
    for size in np.bincount(block[block >= 0]):
        panel.add_patch(
            Rectangle((corner, corner), size, size, fill=False, ec=style.BLACK, lw=1.2)
        )
        corner += size
    panel.set_xticks(range(len(order)), [str(i) for i in order])
    panel.set_yticks(range(len(order)), [str(i) for i in order])
    panel.set(xlabel="feature, sorted by block", ylabel="feature, sorted by block")
    return image
