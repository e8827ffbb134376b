"""Loss against width with strong and with weak superposition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from figures import style

TITLES = ("strong superposition (negative decay)", "weak superposition (positive decay)")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two panels of losses, and the slopes beside the two laws."""
    m, alpha, loss = arrays["hidden"], arrays["alpha"], arrays["loss"]
    figure = style.new(11.4, 3.9)
    *panels, slopes = figure.subplots(1, 3)
    shade = colormaps["viridis"](np.linspace(0, 0.9, len(alpha)))
    for panel, of_regime, title in zip(panels, loss, TITLES, strict=True):
        for i, color in enumerate(shade):
            panel.plot(m, of_regime[:, i], "o-", color=color, ms=4, label=f"{alpha[i]:g}")
        panel.set(xscale="log", yscale="log", title=title)
        panel.minorticks_off()
        panel.set_xticks(m, [f"{value}" for value in m])
        panel.set_xlabel("hidden dimensions m (log scale)")
    low = min(loss.min(), arrays["left_out"].min()) / 1.5
    high = loss.max() * 1.5
    for panel in panels:
        panel.set_ylim(low, high)
    panels[0].plot(
        m, loss[0].max() * 1.2 * m[0] / m, "--", color=style.BLACK, lw=1, label="1 / m"
    )
    for i, color in enumerate(shade):
        label = "features left out" if i == 0 else None
        panels[1].plot(m, arrays["left_out"][:, i], ":", color=color, lw=1.2, label=label)
    panels[0].set_ylabel("loss: mean squared error per feature (log scale)")
    panels[0].legend(title="alpha", loc="lower left")
    handles, labels = panels[1].get_legend_handles_labels()
    panels[1].legend(handles[-1:], labels[-1:], loc="lower left")
    for i, name in enumerate(("strong", "weak")):
        found = record["metrics"]["slope"][name]
        slopes.plot(alpha, found, style.MARKERS[i], color=style.SERIES[i], label=name)
    slopes.axhline(-1, color=style.BLACK, ls="--", lw=1, label="strong: -1")
    ends = np.array([0, max(1, alpha.max())])
    slopes.plot(ends, -ends, ":", color=style.BLACK, lw=1, label="weak: -alpha")
    slopes.set_title("slopes")
    slopes.set_xlabel("alpha: frequencies fall as $1 / i^{1 + \\alpha}$")
    slopes.set_ylabel("slope of log loss against log m")
    slopes.legend()
    figure.suptitle(
        "Loss against width: near 1 / m with strong superposition; with positive decay "
        "above the loss of the features left out"
    )
    return figure
