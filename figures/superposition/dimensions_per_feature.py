"""Dimensions per feature from dense to sparse, and how many features are held."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

STICKS = {"1: a dimension each": 1.0, "1/2: antipodal pairs": 1 / 2}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above `dimensions_per_feature`, below the features held, against 1/p."""
    inverse, found = arrays["inverse_density"], arrays["dimensions_per_feature"]
    figure = style.new(6.4, 4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for label, level in STICKS.items():
        above.axhline(level, color=style.GREY, ls=":", lw=1)
        above.annotate(
            label,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            color=style.GREY,
        )
    above.plot(inverse, found, "o-", color=style.BLUE, ms=4)
    above.set(ylim=(0, 1.1), ylabel="dimensions per feature $D^* = m / \\|W\\|_F^2$")
    held = (arrays["component"] >= 0).sum(axis=1)
    n_features, n_hidden = arrays["W"].shape[1:]
    below.plot(inverse, held, "s-", color=style.ORANGE, ms=4)
    below.axhline(n_hidden, color=style.GREY, ls=":", lw=1)
    below.annotate(
        f"{n_hidden} dimensions",
        (1, n_hidden),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color=style.GREY,
    )
    below.set(
        xscale="log",
        ylim=(0, 1.05 * n_features),
        ylabel=f"features held, of {n_features}\n(length > 0.5)",
        xlabel="1 / density = 1 / (probability that a feature is present)",
    )
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= inverse.max()]
    below.set_xticks(ticks, [str(tick) for tick in ticks])
    below.minorticks_off()
    above.set_title(
        f"{n_features} equal features in {n_hidden} dimensions: the share of each falls, "
        "and sticks at 1/2"
    )
    return figure
