"""What becomes of an extra feature: maps over its importance and the density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from figures import style

TITLES = {
    "trained": "trained: average without the worst",
    "best": "trained: best",
    "templates": "templates (fixed weights)",
    "exact": "exact optimum",
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One map per source, then the key: norm upward, superposition to the right."""
    names = [name for name in TITLES if f"norm/{name}" in arrays]
    figure = style.new(3.1 * len(names) + 1.6, 3.6)
    panels = figure.subplots(
        1, len(names) + 1, width_ratios=[3.0] * len(names) + [1.1], squeeze=False
    )[0]
    for name, panel in zip(names, panels[:-1], strict=True):
        _draw_map(panel, arrays, name)
        panel.set_title(TITLES[name])
    panels[0].set_ylabel("density: probability that a feature is present")
    _draw_key(panels[-1])
    figure.suptitle(
        "The extra feature is dropped, has a dimension of its own, or shares one "
        "(black: boundaries)"
    )
    return figure


def colour(norm: np.ndarray, superposition: np.ndarray) -> np.ndarray:
    """White at norm 0; at norm 1 from blue (alone) to orange (shares a dimension)."""
    share = np.clip(superposition, 0, 1)[..., None]
    full = (1 - share) * np.array(to_rgb(style.BLUE)) + share * np.array(
        to_rgb(style.YELLOW)
    )
    strength = np.clip(norm, 0, 1)[..., None]
    return 1 - strength * (1 - full)


def _draw_map(panel: Axes, arrays: Mapping[str, np.ndarray], name: str) -> None:
    r, p = arrays["importance"], arrays["density"]
    rgb = colour(arrays[f"norm/{name}"], arrays[f"superposition/{name}"])
    panel.pcolormesh(r, p, rgb, shading="nearest", rasterized=True)
    panel.plot(r, arrays[f"boundary/{name}"], "-", color=style.BLACK, lw=1.2)
    panel.plot([1, 1], [arrays[f"upright/{name}"], p[0]], "-", color=style.BLACK, lw=1.2)
    panel.set(xscale="log", yscale="log", xlim=(r[0], r[-1]), ylim=(p[-1], p[0]))
    panel.set_xlabel("importance of the extra feature")


def _draw_key(panel: Axes) -> None:
    share, norm = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 40))
    panel.imshow(
        colour(norm, share), origin="lower", extent=(0, 1, 0, 1), aspect=1.0, zorder=0
    )
    panel.set_xlabel("its superposition")
    panel.set_ylabel("norm of the extra feature")
    panel.set(xticks=[0, 1], yticks=[0, 1])
    panel.set_title("key")
