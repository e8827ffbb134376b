"""How much of feature 0 other latents hold, over correlation and over k."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

SHOWN = 0.4  # the correlation whose dictionaries are shown whole


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `correlation`, `k`, `published` [cell], `mixing` [cell, seed] and `cosine`."""
    k = record["settings"]["k"]
    strengths = record["settings"]["strengths"]
    figure = style.new(10.8, 3.6)
    panels = figure.subplots(1, 4, width_ratios=[1.25, 1.25, 1, 1])
    _draw_sweep(
        panels[0], arrays, "correlation", arrays["k"] == k, style.BLUE, f"k = {k:g}"
    )
    panels[0].set(xlabel="correlation with feature 0 (copula)", title=f"k = {k:g}")
    for strength, color in zip(strengths, style.SERIES[1:], strict=False):
        chosen = arrays["correlation"] == strength
        _draw_sweep(panels[1], arrays, "k", chosen, color, f"correlation {strength:+g}")
    panels[1].axvline(2, color=style.GREY, lw=0.8)
    panels[1].annotate(
        "true L0",
        (2, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 0),
        textcoords="offset points",
        ha="right",
        color=style.GREY,
    )
    panels[1].set(xlabel="latents on per sample, k", title="fewer latents, more mixing")
    panels[1].legend()
    for panel in panels[:2]:
        panel.axhline(0, color=style.GREY, lw=0.8)
        panel.set_ylim(-0.4, 0.4)
    panels[0].set_ylabel("mean cosine of latents 1 to 4\nwith feature 0 (no unit)")
    panels[0].plot([], [], "x", color=style.BLACK, label="published")
    panels[0].legend(loc="upper left")
    for panel, wanted in zip(panels[2:], (k, 2.0), strict=True):
        _draw_cosines(panel, arrays, wanted)
    panels[2].set_ylabel("latent")
    figure.suptitle(
        "Below the true L0, latents take up the feature that theirs is correlated with"
    )
    return figure


def _draw_sweep(
    panel: Axes,
    arrays: Mapping[str, np.ndarray],
    axis: str,
    chosen: np.ndarray,
    color: str,
    label: str,
) -> None:
    order = np.flatnonzero(chosen)[np.argsort(arrays[axis][chosen])]
    at, mixing = arrays[axis][order], arrays["mixing"][order]
    panel.plot(np.repeat(at, mixing.shape[1]), mixing.ravel(), "o", color=color, ms=3)
    panel.plot(at, mixing.mean(axis=1), color=color, lw=1.2, label=label)
    panel.plot(at, arrays["published"][order], "x", color=style.BLACK, ms=5)


def _draw_cosines(panel: Axes, arrays: Mapping[str, np.ndarray], k: float) -> None:
    """The first seed's cosines [latent, feature] at this k."""
    near = np.abs(arrays["correlation"] - SHOWN) + np.abs(arrays["k"] - k)
    cell = int(near.argmin())
    cosine = arrays["cosine"][cell, 0]
    panel.imshow(cosine, vmin=-1, vmax=1, cmap="RdBu_r")
    for (row, column), value in np.ndenumerate(cosine):
        color = "white" if abs(value) > 0.6 else style.BLACK
        text = f"{value:.2f}".replace("-0.00", "0.00")
        panel.text(column, row, text, color=color, fontsize=6.5, ha="center", va="center")
    panel.set(xlabel="feature", xticks=range(5), yticks=range(5))
    panel.set_title(
        f"cosines at k = {arrays['k'][cell]:g},\n"
        f"correlation {arrays['correlation'][cell]:+g}"
    )
    for side in panel.spines.values():
        side.set_visible(False)
