"""How many neurons end up with two features, against the number of neurons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left, counts against m; right, when the features win their neurons."""
    figure = style.new(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    _draw_counts(left, arrays)
    _draw_sparsity(right, arrays)
    figure.suptitle(
        "Neurons with two features appear by chance: about n² / 4m of them, although there "
        "is room for every feature"
    )
    return figure


def _draw_counts(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    m, count, n = arrays["hidden"], arrays["count"], float(arrays["n_features"])
    mean = count.mean(axis=1)
    error = count.std(axis=1, ddof=min(1, count.shape[1] - 1)) / np.sqrt(count.shape[1])
    panel.errorbar(
        m,
        mean,
        2 * error,
        fmt="o",
        color=style.BLUE,
        capsize=3,
        label=f"mean of {count.shape[1]} models, 2 standard errors",
    )
    grid = np.geomspace(m.min(), m.max(), 50)
    panel.plot(grid, n**2 / 4 / grid, "--", color=style.BLACK, lw=1, label="n² / 4m")
    chance = grid * (1 - np.exp(-n / 2 / grid)) ** 2
    panel.plot(grid, chance, ":", color=style.ORANGE, label="$m (1 - e^{-n/2m})^2$")
    panel.set(xscale="log", yscale="log")
    panel.set_xticks(m, [f"{value:,}" for value in m], minor=False)
    panel.minorticks_off()
    ticks = [
        t
        for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
        if mean.min() / 2 < t < 2 * mean.max()
    ]
    panel.set_yticks(ticks, [f"{t:g}" for t in ticks])
    panel.set_xlabel(f"neurons m (log scale), for n = {n:g} features")
    panel.set_ylabel("polysemantic neurons (log scale)")
    panel.legend()


def _draw_sparsity(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    for i, m in enumerate(arrays["hidden"]):
        color = style.SERIES[i % len(style.SERIES)]
        panel.plot(
            arrays["step"], arrays["share_held"][:, i], color=color, label=f"m = {m:,}"
        )
    panel.set_xlabel("training step")
    panel.set_ylabel("share of features that hold a neuron")
    panel.set_ylim(0, 1.03)
    panel.legend()
