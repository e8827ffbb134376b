"""A sweep of k around the true L0: recovery, error, two signs, three ways to the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`first`, `k`, `truth` [kind], scores [kind, seed], `curve` [step, kind, seed]."""
    settings = record["settings"]
    above, true = settings["above"], arrays["truth"]
    sweep = ~true & (arrays["first"] == arrays["k"] + above)
    figure = style.new(10.8, 5.8)
    panels = figure.subplots(2, 3)
    for panel in (*panels[0], panels[1, 0], panels[1, 1]):
        panel.axvline(11, color=style.GREY, lw=0.8)
        panel.set_xlabel("latents on per sample, k")
        panel.set_xticks(sorted({*map(int, arrays["k"][sweep])} - {10, 12}))
    mcc, error, cosine = panels[0]
    _draw(mcc, arrays, "mcc_dec", sweep, style.BLUE, "random start")
    _draw(mcc, arrays, "mcc_dec", true, style.ORANGE, "start at the truth")
    mcc.set(ylabel="mean matched cosine, mcc_dec (no unit)", title="recovery")
    _draw(error, arrays, "squared_error", true, style.ORANGE, "trained, from the truth")
    _draw(error, arrays, "squared_error", sweep, style.BLUE, "trained, random start")
    _draw(error, arrays, "truth_at_k", sweep, style.BLACK, "the truth, cut to k")
    error.set(
        ylabel=r"squared error, $E\|x-\hat{x}\|^2$", title="the truth is not the best"
    )
    _draw(cosine, arrays, "decoder_cosine", sweep, style.BLUE, middle=np.median)
    cosine.set(ylabel="mean |cosine| between rows (no unit)", title="first sign")
    cosine.set_ylim(bottom=0)
    sign, gap, way = panels[1]
    _draw(sign, arrays, "projection", sweep, style.BLUE, middle=np.median)
    sign.set(ylabel=f"$s_{{{settings['nth']}}}$, in units of x", title="second sign")
    sign.set_ylim(bottom=0)
    _draw(gap, arrays, "first_feature", sweep, style.BLUE, "random start")
    _draw(gap, arrays, "first_feature", true, style.ORANGE, "start at the truth")
    gap.set(
        ylabel="largest cosine of a latent (no unit)", title="the most frequent feature"
    )
    _draw_ways(way, arrays, settings)
    for panel in (error, gap, way):
        panel.legend()
    mcc.legend(loc="lower center")
    figure.suptitle(
        "Fifty correlated features, 11 present: below the true L0 dictionaries go wrong, "
        "and two signs without truth show it"
    )
    return figure


def _draw(panel: Axes, arrays, name, chosen, color, label="", middle=np.mean) -> None:
    """A dot for every seed, a line through their means, or medians."""
    order = np.flatnonzero(chosen)[np.argsort(arrays["k"][chosen])]
    k, values = arrays["k"][order], arrays[name][order]
    panel.plot(np.repeat(k, values.shape[1]), values.ravel(), "o", color=color, ms=3)
    panel.plot(k, middle(values, axis=1), color=color, lw=1.2, label=label)


def _draw_ways(panel: Axes, arrays, settings: Mapping[str, Any]) -> None:
    """mcc_dec over training for the three ways to k = 11."""
    starts = (settings["high"], 11, settings["low"])
    names = (f"k from {starts[0]} to 11", "k = 11", f"k from {starts[2]} to 11")
    for first, name, color in zip(starts, names, style.SERIES[2:], strict=False):
        chosen = ~arrays["truth"] & (arrays["k"] == 11) & (arrays["first"] == first)
        curves = arrays["curve"][:, chosen].reshape(len(arrays["step"]), -1)
        panel.plot(arrays["step"], curves, color=color, lw=0.6, alpha=0.5)
        panel.plot(arrays["step"], curves.mean(axis=1), color=color, lw=1.6, label=name)
    end = settings["ramp"] * settings["steps"]
    panel.axvline(end, color=style.GREY, lw=0.8, ls=":")
    panel.set(
        xlabel="training step", ylabel="mcc_dec (no unit)", title="three ways to k = 11"
    )
