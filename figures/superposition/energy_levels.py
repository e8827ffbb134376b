"""Every feature's dimensionality during training, above the loss."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One line per feature; features that end dropped are grey."""
    step, D = arrays["levels/step"], arrays["levels/D"]
    figure = style.new(8, 5.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for column in D.T:
        dropped = column[-1] < 0.25
        color = style.GREY if dropped else style.BLUE
        above.plot(step, column, color=color, lw=0.9, alpha=0.4 if dropped else 0.8)
    above.axhline(0.5, color=style.ORANGE, ls="--", lw=1, zorder=0)
    above.annotate(
        "1/2: antipodal pair",
        (1, 0.5),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=style.ORANGE,
    )
    above.set_ylabel("dimensionality D of each feature")
    loss = arrays["levels/loss"]
    below.plot(step, loss, color=style.BLACK, lw=1.2)
    # The fall at the very beginning would flatten the drops that matter here.
    low, high = loss.min(), loss[round(0.02 * len(loss))]
    below.set_ylim(low - 0.08 * (high - low), high)
    below.set(ylabel="loss", xlabel="step")
    jump = record["metrics"]["shown"]
    span = max(1, round(0.02 * len(step)))
    for panel in (above, below):
        panel.axvspan(
            step[jump["row"]], step[jump["row"] + span], color=style.YELLOW, alpha=0.3, lw=0
        )
    figure.suptitle(
        "Features jump between levels of dimensionality, and the loss drops with them"
    )
    return figure
