"""The child's share in a lone latent: case by case, and as its chance grows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from figures import style

_WITHIN = 0.02


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left `cosine`, `exact` and `second` by case; right the curves over `chance`."""
    figure = style.new(10.4, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_cases(left, record["metrics"], arrays)
    _draw_curves(right, arrays)
    figure.suptitle("A latent alone mixes in what its feature is correlated with")
    return figure


def _draw_cases(
    panel: Axes, metrics: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    for row, published in enumerate(metrics["published"]):
        if published is not None:
            ends = published[0] - _WITHIN, published[1] + _WITHIN
            panel.plot(
                ends,
                [row, row],
                color=style.GREY,
                lw=9,
                alpha=0.35,
                solid_capstyle="butt",
            )
        child = arrays["cosine"][row, :, 1]
        spread = np.linspace(-0.18, 0.18, len(child)) if len(child) > 1 else [0.0]
        panel.plot(child, row + np.asarray(spread), "o", color=style.BLUE, ms=4, zorder=3)
        for name, line in (("second", ":"), ("exact", "-")):
            x, ends = arrays[name][row, 1], (row - 0.38, row + 0.38)
            panel.plot([x, x], ends, line, color=style.ORANGE, lw=1.8)
    panel.axvline(0, color=style.BLACK, lw=0.6)
    panel.set_yticks(range(len(metrics["cases"])), metrics["cases"])
    panel.invert_yaxis()
    panel.set_xlabel("cosine of the latent with the child (no unit)")
    panel.set_title("six cases")
    keys = [
        Line2D([], [], color=style.BLUE, marker="o", ms=4, ls="", label="trained, a seed"),
        Line2D([], [], color=style.ORANGE, lw=1.8, label="exact minimum"),
        Line2D([], [], color=style.ORANGE, lw=1.8, ls=":", label="second state"),
        Patch(color=style.GREY, alpha=0.35, label="published, re-run"),
    ]
    panel.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=4)


def _draw_curves(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    kinds = (("without biases", style.ORANGE, "s"), ("with biases", style.BLUE, "o"))
    for i, (name, colour, mark) in enumerate(kinds):
        panel.plot(
            arrays["fine_chance"],
            arrays["fine"][i, :, 1],
            "-" if i else "--",
            color=colour,
            lw=1.2,
            label=f"{name}: eigenvector",
        )
        panel.plot(
            arrays["chance"],
            arrays["curve"][i, :, 1],
            mark,
            color=colour,
            ms=4.5,
            mfc="none",
            label=f"{name}: trained",
        )
    panel.set_xlabel("P(child | parent)")
    panel.set_ylabel("cosine of the latent with the child")
    panel.set_title("a hierarchy")
    panel.set_ylim(0, None)
    panel.legend(loc="lower right")
