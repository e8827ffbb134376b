"""What each neuron of the best absolute-value network holds, and how good it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from figures import style

_COLOURED = 40


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left, the in-weights of every neuron, one row per density; right, the losses."""
    density = arrays["density"]
    figure = style.new(10.5, 1.1 * max(len(density), 4) + 1.2)
    left, right = figure.subfigures(1, 2, width_ratios=[1.7, 1], squeeze=False)[0]
    panels = left.subplots(len(density), 1, sharex=True, squeeze=False)[:, 0]
    shades = ListedColormap(colormaps["viridis"](np.linspace(0, 0.95, _COLOURED)))
    for i, panel in enumerate(panels):
        draw_neurons(panel, arrays["weights"][i], arrays["share"][i], shades)
        panel.set_title(
            f"density {density[i]:.3g}: {(arrays['share'][i] > 0.9).sum()} neurons of one "
            f"feature (orange dots), {arrays['answered'][i].sum()} features answered",
            loc="left",
        )
    panels[-1].set_xlabel("neuron, those of one feature first")
    left.supylabel("in-weights x largest out-weight, stacked by feature", fontsize=9)
    mappable = ScalarMappable(Normalize(0, _COLOURED), shades)
    bar = left.colorbar(mappable, ax=list(panels), extend="max", aspect=40, pad=0.01)
    bar.set_label("feature, most important first")
    draw_losses(right.subplots(), arrays)
    figure.suptitle("Sparser features: neurons that compute |x| are shared by more of them")
    return figure


def draw_neurons(
    panel: Axes, weights: np.ndarray, share: np.ndarray, shades: ListedColormap
) -> None:
    """One bar per neuron, its features stacked; a dot on neurons of one feature."""
    order = np.lexsort((weights.argmax(axis=0), share <= 0.9))
    stacked, bottom = weights[:, order], np.zeros(len(order))
    place = np.arange(1, len(order) + 1)
    for i, heights in enumerate(stacked):
        color = shades(min(i, _COLOURED - 1))
        panel.bar(place, heights, 0.8, bottom, color=color, linewidth=0)
        bottom += heights
    alone = share[order] > 0.9
    panel.plot(place[alone], bottom[alone] * 1.12, ".", color=style.ORANGE, ms=4)
    panel.set(xlim=(0.4, len(order) + 0.6), ylim=(0, 1.25 * max(bottom.max(), 1e-9)))


def draw_losses(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    """Every network's loss over the baseline, by density and initial scale."""
    density = arrays["density"]
    for j, scale in enumerate(arrays["init_scale"]):
        ratio = arrays["loss"][:, j] / arrays["baseline"][:, None]
        shift = 1.06 ** (2 * j - len(arrays["init_scale"]) + 1)
        panel.plot(
            np.repeat(density * shift, ratio.shape[1]),
            ratio.ravel(),
            style.MARKERS[j],
            color=style.SERIES[j],
            ms=5,
            alpha=0.8,
            label=f"initial scale {scale:.3g}",
        )
    panel.axhline(1, color=style.BLACK, lw=0.8, ls="--", label="no superposition")
    panel.set(xscale="log", yscale="log")
    panel.invert_xaxis()
    panel.set_xlabel("density: probability that a feature is present")
    panel.set_ylabel("loss / loss of the best network without superposition")
    panel.legend(loc="best")
