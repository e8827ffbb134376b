"""The dimensionality of every feature, and the graphs of who shares with whom."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

FRACTIONS = {"1": 1, "3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
COLORS = {
    "own dimension": style.BLACK,
    "triangle": style.PURPLE,
    "tetrahedron": style.YELLOW,
    "digon": style.BLUE,
    "pentagon": style.ORANGE,
    "square antiprism": style.GREEN,
}
OTHER, NOT_HELD = style.SKY, "#cccccc"
SHOWN_INVERSE_DENSITIES = (1.6, 2.6, 4, 4.5, 6, 10)
WEAKEST_EDGE = 0.1


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, D_i against 1/p; below, one geometry graph for each of some densities."""
    inverse = arrays["inverse_density"]
    places = [int(np.abs(np.log(inverse / x)).argmin()) for x in SHOWN_INVERSE_DENSITIES]
    figure = style.new(10.4, 7.0)
    above, below = figure.subfigures(2, 1, height_ratios=[1.45, 1], squeeze=False)[:, 0]
    _draw_dimensionality(above.subplots(), arrays)
    places = list(dict.fromkeys(places))
    for panel, i in zip(
        below.subplots(1, len(places), squeeze=False)[0], places, strict=True
    ):
        _draw_graph(panel, arrays["W"][i], arrays["component"][i], arrays["shape"][i])
        panel.set_title(f"1/density {inverse[i]:.3g}")
    figure.suptitle(
        "Features of equal importance form polytopes: triangles and pairs when dense, "
        "pentagons when sparser, at last one web"
    )
    return figure


def _color(shape: str) -> str:
    return COLORS.get(shape, OTHER)


def _draw_dimensionality(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    inverse, found = arrays["inverse_density"], arrays["dimensionality"]
    spacing = np.log(inverse[1] / inverse[0])
    jitter = spacing * np.linspace(-0.3, 0.3, found.shape[1])
    x = inverse[:, None] * np.exp(jitter)
    held = arrays["component"] >= 0
    panel.plot(x[~held], found[~held], ".", color=NOT_HELD, ms=2, zorder=1)
    for label, level in FRACTIONS.items():
        panel.axhline(level, color=style.GREY, ls=":", lw=0.8, zorder=0)
        panel.annotate(
            label,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va={"3/8": "top", "2/5": "bottom"}.get(label, "center"),
            color=style.GREY,
        )
    colors = np.array([_color(shape) for shape in arrays["shape"][held]])
    panel.scatter(x[held], found[held], c=colors, s=7, lw=0, zorder=2)
    handles = [
        Line2D([], [], marker="o", ls="", ms=5, color=color, label=label)
        for label, color in [*COLORS.items(), ("other", OTHER), ("not held", NOT_HELD)]
        if label in (*np.unique(arrays["shape"]), "other", "not held")
    ]
    panel.legend(
        handles=handles, loc="upper right", frameon=True, framealpha=1, edgecolor="none"
    )
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= inverse.max()]
    panel.set(
        xscale="log",
        ylim=(0, 1.05),
        xlabel="1 / density = 1 / (probability that a feature is present)",
        ylabel="dimensionality $D_i$ of a feature",
    )
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()


def _draw_graph(
    panel: Axes, W: np.ndarray, component: np.ndarray, shape: np.ndarray
) -> None:
    """Every component projected on its own first two principal axes."""
    groups = [np.flatnonzero(component == c) for c in range(component.max() + 1)]
    for rows, center in zip(groups, packed([len(rows) for rows in groups]), strict=True):
        place = center + _projected(W[rows])
        color = _color(str(shape[rows[0]]))
        first, second = np.triu_indices(len(rows), 1)
        weight = np.abs((W[rows] @ W[rows].T)[first, second])
        seen = weight > WEAKEST_EDGE
        edges = np.stack([place[first[seen]], place[second[seen]]], axis=1)
        width = 1.4 * weight[seen]
        panel.add_collection(LineCollection(list(edges), colors=color, lw=width, alpha=0.5))
        panel.plot(*place.T, "o", color=color, ms=2.5)
    panel.set_aspect("equal", anchor="N")
    panel.autoscale_view()
    panel.axis("off")


def radius(n_vertices: int) -> float:
    return 0.0 if n_vertices == 1 else 0.35 * n_vertices**0.5


def _projected(rows: np.ndarray) -> np.ndarray:
    """[vertex, 2], the longest at the component's radius."""
    if len(rows) == 1:
        return np.zeros((1, 2))
    axes = np.linalg.svd(rows, full_matrices=False)[2][:2]
    flat = np.pad(rows @ axes.T, ((0, 0), (0, 2 - len(axes))))
    if len(rows) == 2:
        flat = flat[:, ::-1] * [0, 1]
    return flat * radius(len(rows)) / np.linalg.norm(flat, axis=1).max()


def packed(sizes: list[int]) -> list[np.ndarray]:
    """Centres of the components, row by row in a square."""
    reach = [radius(size) + 0.3 for size in sizes]
    side = max((2 * np.square(reach).sum() * 2) ** 0.5, 2 * max(reach, default=1))
    centers, x, y, height = [], 0.0, 0.0, 0.0
    for r in reach:
        if x + 2 * r > side + 1e-9:
            x, y, height = 0.0, y - height, 0.0
        height = max(height, 2 * r)
        centers.append(np.array([x + r, y - r]))
        x += 2 * r
    return centers
