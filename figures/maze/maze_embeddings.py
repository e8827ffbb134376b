"""Cells in the plane of their embeddings, and their distances there and on the lattice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Three panels: the principal plane, distances, and the correlation among shuffles."""
    figure = style.new(11.0, 3.8)
    plane, distances, floor = figure.subplots(1, 3)
    _draw_plane(plane, arrays["plane"])
    for name, label, color, shift in (
        ("trained", "trained", style.BLUE, -0.12),
        ("control", "before training", style.GREY, 0.12),
    ):
        _draw_distances(distances, arrays, name, label, color, shift)
    distances.set_xlabel("distance on the lattice (steps)")
    distances.set_ylabel("distance of embeddings, over its mean (no unit)")
    distances.set_title("Mean distances, bars: standard deviations")
    distances.legend()
    agreement = record["metrics"]["agreement"]
    floor.hist(arrays["shuffled"], bins=40, color=style.SKY, label="cells exchanged")
    floor.axvline(agreement["trained"], color=style.BLUE, label="trained")
    floor.axvline(agreement["control"], color=style.GREY, ls="--", label="before training")
    floor.set_xlabel("correlation of distances (no unit)")
    floor.set_ylabel("shuffles")
    floor.set_title("The correlation beside chance")
    floor.legend()
    return figure


def _draw_plane(panel: Axes, plane: np.ndarray) -> None:
    size = round(len(plane) ** 0.5)
    grid = plane.reshape(size, size, 2)
    for line in (*grid, *grid.transpose(1, 0, 2)):
        panel.plot(*line.T, "-", color=style.GREY, lw=0.8)
    row, column = np.divmod(np.arange(len(plane)), size)
    panel.scatter(*plane.T, c=style.SKY, s=150, zorder=2)
    for (x, y), r, c in zip(plane, row, column, strict=True):
        panel.annotate(f"{r},{c}", (x, y), ha="center", va="center", fontsize=7)
    panel.set_xlabel("first principal axis of the embeddings")
    panel.set_ylabel("second")
    panel.set_title("Cells (row, column), joined to their neighbours")


def _draw_distances(
    panel: Axes,
    arrays: Mapping[str, np.ndarray],
    name: str,
    label: str,
    color: str,
    shift: float,
) -> None:
    found = arrays[f"{name}/distance"] / arrays[f"{name}/distance"].mean()
    steps = np.unique(arrays["lattice"])
    groups = [found[arrays["lattice"] == step] for step in steps]
    panel.errorbar(
        steps + shift,
        [group.mean() for group in groups],
        [group.std() for group in groups],
        fmt="o-",
        color=color,
        label=label,
        capsize=2,
    )
    panel.set_xticks(steps)
