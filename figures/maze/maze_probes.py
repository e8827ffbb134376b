"""A maze player's training, what probes read of mazes by site, and mazes as they read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.maze.drawing import draw_path, draw_walls


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Loss and probes by site above; below, true mazes, each beside the one read."""
    metrics, n_mazes = record["metrics"], len(arrays["mazes/true"])
    figure = style.new(11.0, 6.6)
    grid = figure.add_gridspec(2, 2 * n_mazes, height_ratios=(1.5, 1))
    loss = figure.add_subplot(grid[0, :n_mazes])
    _draw_loss(loss, arrays)
    _draw_scores(figure.add_subplot(grid[0, n_mazes:]), metrics)
    true, read = arrays["mazes/true"], arrays["mazes/decoded"]
    for i in range(n_mazes):
        left = figure.add_subplot(grid[1, 2 * i])
        right = figure.add_subplot(grid[1, 2 * i + 1])
        path = arrays["mazes/path"][i]
        draw_walls(left, true[i])
        draw_path(left, path[path >= 0], true.shape[-1])
        left.set_title(f"maze {i + 1}")
        draw_walls(right, read[i])
        _mark(right, true[i] != read[i])
        right.set_title(f"{i + 1} as read: {(true[i] != read[i]).sum()} wrong")
        left.set(xlabel="column", ylabel="row")
        right.set(xlabel="column", ylabel="")
    site = metrics["sites"][metrics["best_site"]]
    figure.suptitle(
        "Below: mazes with their path from origin (circle) to target (square), and as read "
        f"at {metrics['best_place']} after {site} (cross: read wrong)"
    )
    return figure


def _draw_loss(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    panel.plot(arrays["step"], arrays["curve/loss"], color=style.BLUE, label="training")
    panel.set_xlabel("training step")
    panel.set_ylabel("weighted cross-entropy (nats)")
    panel.set_title("The loss falls; its floor, the order of the list, is not 0")
    panel.legend()


def _draw_scores(panel: Axes, metrics: Mapping[str, Any]) -> None:
    sites, size = metrics["sites"], metrics["size"]
    for i, place in enumerate(metrics["scores"]["trained"]):
        for name, line in (("trained", "-"), ("control", ":")):
            panel.plot(
                range(len(sites)),
                metrics["scores"][name][place]["connections"],
                line,
                marker=style.MARKERS[i],
                color=style.SERIES[i],
                label=f"at {place}, {name}",
            )
    base = (size + 1) / (2 * size)
    panel.axhline(base, color=style.BLACK, ls="--", lw=1, label="base rate")
    panel.set_xticks(range(len(sites)), sites, rotation=20, ha="right")
    panel.set_xlabel("site of the residual stream")
    panel.set_ylabel("share of connections read right")
    panel.set_ylim(top=1)
    panel.set_title("What one matrix reads of held-out mazes")
    panel.legend()


def _mark(panel: Axes, wrong: np.ndarray) -> None:
    """Orange crosses on the connections that are read wrong."""
    for plane, row, column in np.argwhere(wrong):
        x, y = (column, row + 0.5) if plane == 0 else (column + 0.5, row)
        panel.plot(x, y, "X", color=style.ORANGE, ms=8)
