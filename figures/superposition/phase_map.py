"""What becomes of an extra feature: maps over its importance and the density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from figures import style

TITLES = {
    "best": "trained: best of each cell",
    "exact": "exact optimum",
    "templates": "templates (fixed weights)",
    "trained": "trained: average without the worst\n(speckled by chance: few seeds a cell)",
}
REGIONS = ("dropped", "alone", "shared")
HALO = withStroke(linewidth=3, foreground="white")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One map per source, and the key: norm upward, superposition to the right.

    The average over few seeds is speckled by chance: a model is caught in another phase or
    is not. It is drawn as it is, last.
    """
    names = [name for name in TITLES if f"norm/{name}" in arrays]
    figure = style.new(8.4, 3.2 * -(-len(names) // 2) + 0.5)
    left, right = figure.subfigures(1, 2, width_ratios=[5, 1], squeeze=False)[0]
    panels = left.subplots(-(-len(names) // 2), 2, squeeze=False, sharey=True)
    for name, panel in zip(names, panels.flat, strict=False):
        _draw_map(panel, arrays, name)
        panel.set_title(TITLES[name])
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    for panel in panels[:, 0]:
        panel.set_ylabel("density of the features")
    _draw_key(right.subplots())
    figure.suptitle(
        "The extra feature is dropped, has a dimension alone, or shares one (black lines: "
        "where the exact optimum changes; on the templates, where they do)"
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
    steps = "default" if name == "templates" else "steps-mid"  # else known by the cell
    boundary = arrays[f"boundary/{name}"]
    panel.plot(r, boundary, "-", drawstyle=steps, color=style.BLACK, lw=1.2)
    panel.plot([1, 1], [arrays[f"upright/{name}"], p[0]], "-", color=style.BLACK, lw=1.2)
    panel.set(xscale="log", yscale="log", xlim=(r[0], r[-1]), ylim=(p[-1], p[0]))
    panel.set_xlabel("importance of the extra feature")
    source = name if name == "templates" else "exact"
    phase = _phase(arrays[f"norm/{source}"], arrays[f"superposition/{source}"])
    for i, label in enumerate(REGIONS):
        if (phase == i).any():
            row, column = _deepest(phase == i)
            place = np.clip(r[column], *np.geomspace(r[0], r[-1], 8)[[1, -2]])
            at = (float(place), p[row])
            panel.annotate(label, at, ha="center", va="center", path_effects=[HALO])


def _phase(norm: np.ndarray, superposition: np.ndarray) -> np.ndarray:
    """The place in REGIONS of what became of the extra feature."""
    return np.where(norm < 0.5, 0, np.where(superposition < 0.25, 1, 2))


def _deepest(cells: np.ndarray) -> tuple[int, int]:
    """Row and column of the cell that is farthest from all others and from the rim."""
    depth = np.asarray(distance_transform_edt(np.pad(cells, 1)))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(column)


def _draw_key(panel: Axes) -> None:
    share, norm = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 40))
    panel.imshow(
        colour(norm, share), origin="lower", extent=(0, 1, 0, 1), aspect=1.0, zorder=0
    )
    panel.set_xlabel("superposition")
    panel.set_ylabel("norm of the extra feature")
    panel.set(xticks=[0, 1], yticks=[0, 1])
    panel.set_title("key")
