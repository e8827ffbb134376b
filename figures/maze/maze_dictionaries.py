"""Connections that dictionaries find, by place, layer and model, and on the lattice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

LOOKS = {
    "trained": (style.BLUE, "o"),
    "before training": (style.GREY, "s"),
    "Gaussian weights": (style.ORANGE, "^"),
}
PLACES = {"second cell": "b", "semicolon": ";"}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """The F1 of every dictionary with its interval, then lattices: F1 by connection."""
    metrics = record["metrics"]
    figure = style.new(12.0, 4.4)
    panels = figure.subplots(1, 1 + len(LOOKS), width_ratios=[2.2, 1, 1, 1])
    _draw_scores(panels[0], metrics["members"], arrays)
    for panel, name in zip(panels[1:], LOOKS, strict=True):
        image = _draw_lattice(panel, metrics["size"], arrays[f"{name}/by_connection"])
        panel.set_title(name)
        panel.set_xlabel("column")
    panels[1].set_ylabel("row")
    figure.colorbar(image, ax=panels[-1], label="F1 of the connection's latent", shrink=0.7)
    figure.suptitle(
        "Connections found in single latents, held-out mazes; lattices: the best dictionary"
    )
    return figure


def _draw_scores(panel: Axes, members: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
    place = np.arange(len(members))
    for i, (name, (color, marker)) in enumerate(LOOKS.items()):
        value, low, high = arrays[f"{name}/f1"].T
        panel.errorbar(
            place + 0.15 * (i - 1),
            value,
            [value - low, high - value],
            fmt=marker,
            color=color,
            label=name,
            capsize=2,
        )
    panel.axhline(
        arrays["words/f1"][0],
        color=style.BLACK,
        ls="--",
        lw=0.8,
        label="the word at b",
    )
    labels = [f"{PLACES[where]} L{layer} k={k:g}" for where, layer, k in members]
    panel.set_xticks(place, labels, rotation=90)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("token of the slot a <--> b ; and layer that the dictionary reads")
    panel.set_ylabel("mean F1 over connections")
    panel.legend()


def _draw_lattice(panel: Axes, size: int, values: np.ndarray):
    row, column = np.divmod(np.arange(size * size), size)
    cells = np.arange(size * size).reshape(size, size)
    ends = np.concatenate(
        [
            np.stack([cells[:-1], cells[1:]], -1).reshape(-1, 2),
            np.stack([cells[:, :-1], cells[:, 1:]], -1).reshape(-1, 2),
        ]
    )
    middle_row, middle_column = row[ends].mean(1), column[ends].mean(1)
    for a, b in ends:
        panel.plot(column[[a, b]], row[[a, b]], "-", color=style.GREY, lw=0.8, zorder=1)
    panel.scatter(column, row, s=40, color=style.BLACK, zorder=2)
    image = panel.scatter(
        middle_column,
        middle_row,
        c=values,
        s=130,
        marker="s",
        cmap="viridis",
        vmin=0,
        vmax=1,
        zorder=3,
    )
    panel.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    panel.set(xticks=range(size), yticks=range(size))
    return image
