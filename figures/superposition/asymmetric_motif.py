"""The in- and out-weights of a network with the asymmetric motif, and all seeds' losses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left two panels, the weights with the motif framed; right, which seeds have it."""
    figure = style.new(11, 3.9)
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 1.1])
    W_in, W_out = balanced(arrays["W_in"], arrays["W_out"])
    limit = max(np.abs(W_in).max(), np.abs(W_out).max())
    for panel, W, name in ((panels[0], W_in, "in"), (panels[1], W_out.T, "out")):
        image = panel.imshow(W, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        panel.set(xlabel="neuron", ylabel="feature", title=f"{name}-weights")
        panel.set_xticks(range(W.shape[1]))
        panel.set_yticks(range(W.shape[0]))
        panel.spines[:].set_visible(False)
        frame_motif(panel, arrays["motif"], mender_row=1 if name == "in" else 2)
    figure.colorbar(image, ax=panels[1], label="weight, neurons rescaled")
    draw_seeds(panels[2], arrays)
    figure.suptitle(
        "A neuron holds two features by unequal weights (black); another one takes back "
        "its leak (green)"
    )
    return figure


def balanced(W_in: np.ndarray, W_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same network with the largest in- and out-weight of each neuron made equal."""
    largest_in, largest_out = np.abs(W_in).max(axis=0), np.abs(W_out).max(axis=1)
    ratio = np.sqrt(np.maximum(largest_out, 1e-9) / np.maximum(largest_in, 1e-9))
    return W_in * ratio, W_out / ratio[:, None]


def frame_motif(panel: Axes, motif: np.ndarray, mender_row: int) -> None:
    """Frames around the motif's entries; `motif` is shared, strong, weak, mender."""
    shared, strong, weak, mender = (int(x) for x in motif)
    if shared < 0:
        return
    cells = [(shared, strong, style.BLACK), (shared, weak, style.BLACK)]
    cells.append((mender, int(motif[mender_row]), style.GREEN))
    for x, y, color in cells:
        panel.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec=color, lw=2.2, zorder=3)
        )


def draw_seeds(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    """Every network's loss, those with the motif filled, one column per density."""
    ratio = np.concatenate([arrays["ratio_control"], arrays["ratio"]])
    has = np.concatenate([arrays["has_motif_control"], arrays["has_motif"]])
    density = np.concatenate([arrays["density_control"], arrays["density"]])
    for place, (losses, motif) in enumerate(zip(ratio, has, strict=True)):
        order = losses.argsort()
        across = place + np.linspace(-0.3, 0.3, len(losses))
        for chosen, fill, label in (
            (motif[order], style.BLUE, "with the motif"),
            (~motif[order], "white", "without"),
        ):
            label = label if place == 0 else None
            panel.plot(
                across[chosen],
                losses[order][chosen],
                "o",
                ms=4,
                mec=style.BLUE,
                mfc=fill,
                label=label,
            )
    panel.axhline(1, color=style.BLACK, lw=0.8, ls="--")
    names = [
        f"{p:g}{' (control)' if i == 0 else ''}\n{100 * share:.0f} %"
        for i, (p, share) in enumerate(zip(density, has.mean(axis=1), strict=True))
    ]
    panel.set_xticks(range(len(names)), names)
    panel.set_xlabel("density; share of seeds with the motif")
    panel.set_ylabel("loss / best loss without superposition")
    panel.set_title("all seeds")
    panel.legend(loc="best")
