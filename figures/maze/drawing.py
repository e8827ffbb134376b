"""Mazes with their walls, a path from origin to target, and where the path had a choice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

MOST_COLUMNS = 4


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per maze.

    Reads `connections` [maze, 2, n, n] (open downwards, open to the right), `path`
    [maze, slot] (cells n * row + column, -1 after the last), and, where it is there, `tie`
    [maze, n * n] (several moves are best). `record` may hold `titles`, one per maze.
    """
    connections, path = arrays["connections"], arrays["path"]
    n_mazes, size = len(connections), connections.shape[-1]
    n_columns = min(n_mazes, MOST_COLUMNS)
    n_rows = -(-n_mazes // n_columns)
    figure = style.new(2.3 * n_columns, 2.5 * n_rows + 0.5)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    titles = record.get("titles", [""] * n_mazes)
    tie = arrays.get("tie", np.zeros((n_mazes, size**2), bool))
    for panel, planes, cells, tied, title in zip(
        panels, connections, path, tie, titles, strict=False
    ):
        draw_walls(panel, planes)
        draw_path(panel, cells[cells >= 0], size, tied)
        panel.set_title(title)
    for panel in panels[n_mazes:]:
        panel.set_axis_off()
    panels[0].set(xlabel="column", ylabel="row")
    choices = "; diamonds: several moves are best" if "tie" in arrays else ""
    figure.suptitle(f"A shortest path from origin (circle) to target (square){choices}")
    return figure


def walls(planes: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The closed sides between cells as lines ((x, y), (x, y)); a cell is one unit wide."""
    n = planes.shape[-1]
    below = [(row, column) for row, column in np.argwhere(~planes[0]) if row < n - 1]
    beside = [(row, column) for row, column in np.argwhere(~planes[1]) if column < n - 1]
    lines = [((c - 0.5, r + 0.5), (c + 0.5, r + 0.5)) for r, c in below]
    return lines + [((c + 0.5, r - 0.5), (c + 0.5, r + 0.5)) for r, c in beside]


def draw_walls(panel: Axes, planes: np.ndarray) -> None:
    """A maze's frame and walls, from its connections [2, n, n]; a cell is one unit wide."""
    n = planes.shape[-1]
    frame = [(-0.5, -0.5), (n - 0.5, -0.5), (n - 0.5, n - 0.5), (-0.5, n - 0.5)]
    for (x0, y0), (x1, y1) in walls(planes):
        panel.plot([x0, x1], [y0, y1], "-", color=style.BLACK, lw=1.6)
    panel.fill(*zip(*frame, strict=True), fill=False, edgecolor=style.BLACK, lw=1.6)
    panel.set(xlim=(-0.6, n - 0.4), ylim=(n - 0.4, -0.6), aspect="equal")
    panel.set(xticks=range(n), yticks=range(n))
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def draw_path(
    panel: Axes, cells: np.ndarray, size: int, tied: np.ndarray | None = None
) -> None:
    """The cells of a path in order; diamonds on those in `tied` [n * n], if given."""
    row, column = np.divmod(cells, size)
    panel.plot(column, row, "-", color=style.BLUE, lw=2.5)
    if tied is not None:
        choice = tied[cells]
        panel.plot(column[choice], row[choice], "D", color=style.YELLOW, ms=6)
    panel.plot(column[:1], row[:1], "o", color=style.GREEN, ms=9)
    panel.plot(column[-1:], row[-1:], "s", color=style.ORANGE, ms=9)
