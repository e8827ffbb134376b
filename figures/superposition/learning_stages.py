"""Two sets of three correlated features on their way to an octahedron."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

SETS = (style.BLUE, style.ORANGE)
STAGES = (0.02, 0.35, 0.65, 0.9)


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, the directions at five moments; below, every D_i and the loss."""
    step, W, D = arrays["sets/step"], arrays["sets/W"], arrays["sets/D"]
    shown = record["metrics"]["first_octahedron"]
    loss = arrays["sets/loss"]
    rows = stage_rows(loss[shown])
    figure = style.new(11, 5.6)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.1], squeeze=False)[:, 0]
    turned = W @ turn(W[-1])
    for i, row in enumerate(rows):
        panel = above.add_subplot(1, len(rows), i + 1, projection="3d")
        _draw_solid(panel, turned[row])
        panel.set_title(f"{'ABCDE'[i]}: step {step[row]:,}")
    left, right = below.subplots(1, 2)
    for i, column in enumerate(D.T):
        label = f"set {i // 3 + 1}" if i % 3 == 0 else None
        left.plot(step, column, color=SETS[i // 3], lw=1.2, label=label)
    left.axhline(0.5, color=style.GREY, ls="--", lw=1, zorder=0)
    left.set(ylabel="dimensionality D of each feature", xlabel="step", ylim=(0, 1.05))
    left.legend()
    right.plot(step, loss.T, color=style.GREY, lw=0.5, alpha=0.35)
    right.plot(step, loss[shown], color=style.BLACK, lw=1.6)
    right.set(yscale="log", ylabel=f"loss of {len(loss)} models", xlabel="step")
    for panel in (left, right):
        panel.set_xscale("log")
        for i, row in enumerate(rows):
            panel.axvline(step[row], color=style.GREY, lw=0.8, ls=":")
            panel.text(
                step[row],
                1.01,
                "ABCDE"[i],
                transform=panel.get_xaxis_transform(),
                ha="center",
            )
    figure.suptitle(
        "Two sets of three features that fire together become an octahedron whose "
        "opposite corners are of different sets"
    )
    return figure


def stage_rows(loss: np.ndarray) -> list[int]:
    """The rows where the loss has fallen by given shares, on a log scale, and the last."""
    fallen = np.log(loss[0] / loss) / np.log(loss[0] / loss.min())
    rows = [int(np.argmax(fallen >= share)) for share in STAGES]
    return [*rows, len(loss) - 1]


def turn(W: np.ndarray) -> np.ndarray:
    """The rotation (or reflection) that brings the first three rows closest to the axes."""
    left, _, right = np.linalg.svd(W[:3])
    return (left @ right).T


def _draw_solid(panel: Any, W: np.ndarray) -> None:
    for color, rows in zip(SETS, (W[:3], W[3:]), strict=True):
        for row in rows:
            panel.plot(*np.stack([np.zeros(3), row]).T, color=color, lw=1.4)
        panel.plot(*np.vstack([rows, rows[:1]]).T, color=color, lw=0.8, alpha=0.6)
        panel.scatter(*rows.T, color=color, s=22, depthshade=False)
    panel.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    panel.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-1, 0, 1])
    panel.set(xticklabels=[], yticklabels=[], zticklabels=[])
    panel.set_box_aspect((1, 1, 1), zoom=1.3)
    panel.view_init(elev=22, azim=28)
