"""Codes below their feature's value: exactly for one feature, on average for many."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`code`, `fine_code` [bias, value, penalty]; `slope`, `norm_ratio` [penalty, seed]."""
    figure = style.new(11.4, 3.9)
    without, with_bias, crowded = figure.subplots(1, 3, width_ratios=[1, 1, 1.25])
    _draw_lone(without, arrays, 0)
    _draw_lone(with_bias, arrays, 1)
    without.set_title("one feature, no biases: a - penalty / 2")
    with_bias.set_title("with biases: a - penalty / (2 (1 - p))")
    keys = [
        Line2D([], [], color=colour, marker=mark, ms=5, label=f"penalty {penalty:g}")
        for penalty, colour, mark in zip(
            arrays["lone_penalty"], style.SERIES, style.MARKERS, strict=False
        )
    ]
    keys.append(Line2D([], [], color=style.GREY, ls=":", label="no shrinkage"))
    without.legend(handles=keys, loc="upper left")
    _draw_crowded(crowded, record["metrics"], arrays)
    figure.suptitle("An L1 penalty shrinks every code; lines are closed forms")
    return figure


def _draw_lone(panel: Axes, arrays: Mapping[str, np.ndarray], has_bias: int) -> None:
    values = arrays["value"]
    panel.plot([0, values.max()], [0, values.max()], ":", color=style.GREY)
    for i, colour in zip(range(len(arrays["lone_penalty"])), style.SERIES, strict=False):
        fine = arrays["fine_code"][has_bias, :, i]
        panel.plot(arrays["fine_value"], fine, "-", color=colour, lw=1)
        mark = style.MARKERS[i]
        panel.plot(values, arrays["code"][has_bias, :, i], mark, color=colour, ms=5)
    panel.set_xlabel("value a of the feature")
    panel.set_ylabel("code z")


def _draw_crowded(
    panel: Axes, metrics: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    x = arrays["penalty"]
    kinds = (
        ("slope", "slope on the true value", style.BLUE, "o"),
        ("norm_ratio", "norm ratio ||x_hat|| / ||x||", style.ORANGE, "s"),
        ("mcc_dec", "cosine with the truth, mcc_dec", style.GREEN, "^"),
    )
    for name, label, colour, mark in kinds:
        values = arrays[name]
        panel.plot(
            np.repeat(x, values.shape[1]), values.ravel(), mark, color=colour, ms=4.5
        )
        panel.plot(x, values.mean(axis=1), ":", color=colour, lw=1)
        panel.plot([], [], mark, color=colour, ms=4.5, label=label)
    panel.plot(x, arrays["alone"], "-", color=style.BLUE, lw=1, label="slope, lone feature")
    panel.axhline(
        metrics["topk"]["slope"], color=style.BLACK, ls="--", lw=1, label="slope, TopK"
    )
    panel.set_title("64 features in 32 dimensions")
    panel.set(ylim=(0, 1.08))
    panel.set_xlabel("penalty")
    panel.set_ylabel("1 is faithful (no unit)")
    panel.legend(loc="lower left")
