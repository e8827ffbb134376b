"""What rows and columns are made of, and the child's angle as the hierarchy loosens."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`decoder`, `encoder` [case, seed, 2, 2] above; `angle` [penalty, alone] below."""
    names = record["metrics"]["cases"]
    figure = style.new(2.2 * len(names) + 1.2, 7.2)
    above, below = figure.subfigures(2, 1, height_ratios=[1.35, 1], squeeze=False)[:, 0]
    panels = above.subplots(2, len(names), squeeze=False)
    image = None
    for i, name in enumerate(names):
        for kind, panel in zip(("decoder", "encoder"), panels[:, i], strict=True):
            image = _draw_matrix(panel, arrays[kind][i, 0])
        gap, mass = (record["metrics"][score][i] for score in ("gap", "mass"))
        panels[0, i].set_title(f"{name}\ngap {gap:.2f}, mass {mass:.2f}")
    panels[0, 0].set_ylabel("decoder row of")
    panels[1, 0].set_ylabel("encoder column of")
    for panel in panels[:, 1:].ravel():
        panel.set_yticklabels([])
    bar = above.colorbar(image, ax=panels, shrink=0.7)
    bar.set_label("share of the feature (no unit)")
    _draw_curves(below.subplots(), arrays)
    figure.suptitle("A perfect hierarchy is absorbed; a child that also fires alone is not")
    return figure


def _draw_matrix(panel: Axes, matrix: np.ndarray):
    """Latents down, features across; the encoder scaled to 1 on its diagonal's largest."""
    scaled = matrix / np.abs(np.diagonal(matrix)).max()
    image = panel.imshow(scaled, cmap="RdBu_r", vmin=-1.25, vmax=1.25)
    for (row, column), value in np.ndenumerate(scaled):
        colour = "white" if abs(value) > 0.85 else style.BLACK
        panel.text(
            column,
            row,
            f"{value:.2f}".replace("-0.00", "0.00"),
            color=colour,
            ha="center",
            va="center",
        )
    panel.set_xticks([0, 1], ["parent", "child"])
    panel.set_yticks([0, 1], ["parent", "child"])
    panel.tick_params(length=0)
    return image


def _draw_curves(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    for i, penalty in enumerate(arrays["penalty"]):
        colour = style.SERIES[i]
        exact = np.rad2deg(arrays["curve"][i])
        panel.plot(arrays["fine"], exact, "-", color=colour, lw=1.2)
        panel.plot(
            arrays["alone"],
            np.rad2deg(arrays["angle"][i]),
            style.MARKERS[i],
            color=colour,
            ms=5,
            label=f"penalty {penalty:g}",
        )
    panel.plot([], [], "-", color=style.BLACK, lw=1.2, label="exact minimum")
    panel.axhline(45, color=style.GREY, lw=0.8, ls=":", label="fully absorbed")
    panel.set(xscale="log", ylim=(-2, 48))
    panel.set_xlabel("share of the child's samples without its parent")
    panel.set_ylabel("angle of the child's row\ntowards the parent (degrees)")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
