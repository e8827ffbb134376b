"""What each neuron of the best hidden-ReLU model holds, one panel per density."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, the weights of every neuron; below, the losses of all seeds."""
    density, W = arrays["density"], arrays["W"]
    figure = style.new(1.7 * max(len(density), 4) + 1, 5.4)
    above, below = figure.subfigures(2, 1, height_ratios=[1.35, 1], squeeze=False)[:, 0]
    panels = above.subplots(1, len(density), sharey=True, squeeze=False)[0]
    shades = colormaps["viridis"](np.linspace(0, 0.95, W.shape[1]))
    counts = arrays["features_per_neuron"]
    for panel, p, weights, count in zip(panels, density, W, counts, strict=True):
        draw_neurons(panel, weights, count == 1, shades)
        panel.set_title(f"density {p:.3g}")
        panel.set_xlabel("neuron")
    panels[0].set_ylabel("weights W, stacked")
    legend = [Patch(color=c, label=f"feature {i}") for i, c in enumerate(shades)]
    legend.append(Patch(fill=False, ec=style.ORANGE, lw=1.8, label="one feature"))
    above.legend(handles=legend, loc="outside right center")
    draw_losses(below.subplots(), arrays)
    figure.suptitle(
        "Sparser features: neurons of one feature (orange frame) give way to neurons that "
        "share several"
    )
    return figure


def draw_neurons(panel: Axes, W: np.ndarray, alone: np.ndarray, shades: np.ndarray) -> None:
    """One bar per neuron: positive weights stacked up, negative ones stacked down."""
    size = np.abs(W)
    order = np.lexsort((size.argmax(axis=0), ~alone))
    for place, k in enumerate(order):
        up = down = 0.0
        for weight, color in zip(W[:, k], shades, strict=True):
            start = up if weight > 0 else down
            panel.bar(place, weight, 0.75, start, color=color, linewidth=0)
            up, down = up + max(weight, 0), down + min(weight, 0)
        if alone[k]:
            panel.bar(place, up - down, 0.75, down, fill=False, ec=style.ORANGE, lw=1.8)
    panel.axhline(0, color=style.BLACK, lw=0.6)
    panel.set_xticks(range(len(order)), [str(i + 1) for i in range(len(order))])


def draw_losses(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    """Every seed's loss over the best of its density, sorted."""
    for i, (p, loss) in enumerate(zip(arrays["density"], arrays["loss"], strict=True)):
        excess = np.sort(loss / loss.min() - 1)
        rank = np.arange(1, len(loss) + 1) / len(loss)
        color = colormaps["cividis"](i / max(len(arrays["density"]) - 1, 1))
        panel.step(rank, 100 * excess, where="post", color=color, label=f"{p:.3g}")
    panel.set_yscale("symlog", linthresh=1)
    panel.set(xscale="log", xlim=(1 / arrays["loss"].shape[1], 1), ylim=(0, None))
    panel.set_xlabel(f"share of the {arrays['loss'].shape[1]} seeds, best first")
    panel.set_ylabel("loss above the best [%]")
    panel.axhline(1, color=style.GREY, lw=0.6, ls=":")
    panel.legend(title="density", loc="center left", bbox_to_anchor=(1, 0.5))
