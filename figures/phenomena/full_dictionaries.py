"""The share of dictionaries that are full, against training steps."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`share` [row, condition] with its Wilson interval against `step`."""
    figure = style.new(7.4, 3.6)
    panel = figure.subplots()
    for i, name in enumerate(record["metrics"]["conditions"]):
        color = style.SERIES[i]
        panel.fill_between(
            arrays["step"],
            arrays["share_low"][:, i],
            arrays["share_high"][:, i],
            color=color,
            alpha=0.18,
            lw=0,
        )
        panel.plot(
            arrays["step"],
            arrays["share"][:, i],
            color=color,
            marker=style.MARKERS[i],
            markevery=(i, 4),
            ms=4,
            label=name,
        )
    every = record["settings"]["every"]
    for step in range(every, record["settings"]["steps"] - every + 1, every):
        panel.axvline(step, color=style.GREY, lw=0.6, ls=":")
    panel.set(xlabel="training step (dotted: rounds of resampling)", ylim=(-0.02, 1.02))
    panel.set_ylabel("share of dictionaries that are full")
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.set_title(
        "Resampling, or a tied start, fills dictionaries if the penalty is right\n"
        f"(bands: 95 % intervals over {record['settings']['n_seeds']} seeds)"
    )
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
