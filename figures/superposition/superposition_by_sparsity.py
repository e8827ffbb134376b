"""W W^T and the length of every row, one column per density, one pair of rows per size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """The best seed of each, from `SIZE/W` and `SIZE/superposition`, [panel, ...]."""
    densities = record["metrics"]["densities"]
    titles = ["linear model", *(f"density {p:g}" for p in densities)]
    sizes = [name.removesuffix("/W") for name in arrays if name.endswith("/W")]
    figure = style.new(1.55 * len(titles) + 1.2, 2.75 * len(sizes) + 0.4)
    grid = figure.subplots(
        2 * len(sizes), len(titles), squeeze=False, height_ratios=[1, 0.62] * len(sizes)
    )
    shade = Normalize(0, 1)
    for size, (above, below) in zip(sizes, grid.reshape(-1, 2, len(titles)), strict=True):
        W, shared = arrays[f"{size}/W"], arrays[f"{size}/superposition"]
        top = 1.05 * np.linalg.norm(W, axis=-1).max()
        for i, title in enumerate(titles):
            image = _draw_products(above[i], W[i])
            above[i].set_title(title)
            _draw_lengths(below[i], W[i], shade(shared[i]))
            below[i].set_ylim(0, top)
            if i:
                below[i].set_yticklabels([])
        n, m = W.shape[1:]
        above[0].set_ylabel(f"{n} features in {m}-d\nfeature")
        below[0].set_ylabel("length $\\|W_i\\|$")
        for panel in below:
            panel.set_xlabel("feature")
        figure.colorbar(image, ax=above, label="$W_i \\cdot W_j$", aspect=10)
        figure.colorbar(
            ScalarMappable(shade, "viridis"),
            ax=below,
            label="superposition",
            aspect=6,
            extend="max",
        )
    figure.suptitle(
        "The sparser the features, the more of them are held, and the more of those share "
        "dimensions (most important feature first)"
    )
    return figure


def _draw_products(panel: Axes, W: np.ndarray):
    panel.set(xticks=[], yticks=[])
    return panel.imshow(W @ W.T, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")


def _draw_lengths(panel: Axes, W: np.ndarray, share: np.ndarray) -> None:
    place = np.arange(len(W))
    color = colormaps["viridis"](share)
    panel.bar(place, np.linalg.norm(W, axis=1), width=1.0, color=color)
    panel.set(xlim=(-0.5, len(W) - 0.5), xticks=[0, len(W) - 1])
