"""Loss and monosemanticity over learning rates, with plain and engineered biases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

VARIANTS = ("plain", "engineered")
LABELS = ("biases start at 0", "biases start negative and decay")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left, loss; middle, share of monosemantic neurons; right, how pure neurons are."""
    rate = arrays["learning_rate"]
    figure = style.new(11.4, 3.9)
    losses, shares, purity = figure.subplots(1, 3)
    for i, label in enumerate(LABELS):
        color, marker = style.SERIES[i], style.MARKERS[i]
        for panel, name in ((losses, "loss"), (shares, "share")):
            values = arrays[name][i]
            panel.plot(rate, values, marker, color=color, ms=3.5, alpha=0.4, mew=0)
            panel.plot(rate, values.mean(-1), marker=marker, color=color, ms=5, label=label)
        values = np.sort(arrays["purity"][i].ravel())
        purity.plot(values, np.linspace(0, 1, len(values)), color=color, label=label)
    losses.set_ylabel("loss: mean squared error per feature")
    losses.set_ylim(bottom=0)
    shares.set_ylabel("share of neurons that are monosemantic")
    shares.set_ylim(-0.03, 1.03)
    for panel in (losses, shares):
        panel.set(xscale="log", xlabel="learning rate (log scale)")
        panel.minorticks_off()
        panel.set_xticks(rate, [f"{value:g}" for value in rate])
    purity.set_xlabel("share of the best feature in a neuron's response")
    purity.set_ylabel("share of neurons at or below, all rates")
    figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(
        "Negative biases at the start give neurons that answer to one feature, at no cost "
        "in loss"
    )
    return figure
