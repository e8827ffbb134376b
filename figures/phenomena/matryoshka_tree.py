"""Cosines of latents and features of a tree without and with levels, and what levels do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

CURVES = {
    "absorption_mass": "absorption mass",
    "parent_in_child": "cosine of child's row and parent",
    "mcc_dec": "mcc_dec",
}
SHOWN = {"plain": 0.0, "with levels": 2.0}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`cosine` [weight, seed, latent, feature], scores [weight, seed], against `weight`."""
    weight, mcc = arrays["weight"], arrays["score/mcc_dec"]
    figure = style.new(10.6, 3.9)
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 1.15])
    for panel, (name, wanted) in zip(panels, SHOWN.items(), strict=False):
        place = int(np.abs(weight - wanted).argmin())
        seed = int(np.argsort(mcc[place])[(mcc.shape[1] - 1) // 2])
        _draw_cosines(panel, arrays["cosine"][place, seed])
        found = f"mcc_dec {mcc[place, seed]:.2f}"
        panel.set_title(f"{name} (weight {weight[place]:g})\n{found}")
    panels[0].set_ylabel("latent, in matched order")
    bar = figure.colorbar(panels[0].images[0], ax=list(panels[:2]), shrink=0.75, pad=0.01)
    bar.set_label("cosine (no unit)")
    _draw_curves(panels[2], arrays)
    figure.suptitle("Children absorb their parent, unless few latents must do alone")
    return figure


def _draw_cosines(panel: Axes, cosine: np.ndarray) -> None:
    panel.imshow(cosine, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
    for edge in (2.5, 11.5):
        panel.axvline(edge, color=style.GREY, lw=0.7)
        panel.axhline(edge, color=style.GREY, lw=0.7)
    places, names = (1, 7, 15.5), ("parents", "children", "alone")
    panel.set_xticks(places, names)
    panel.set_yticks(places, names, rotation=90, va="center")
    panel.tick_params(length=0)
    panel.set_xlabel("true feature")
    for side in panel.spines.values():
        side.set_visible(False)


def _draw_curves(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    """Every seed, and the median."""
    weight = arrays["weight"]
    places = np.arange(len(weight))
    for i, (name, label) in enumerate(CURVES.items()):
        values = arrays[name] if name in arrays else arrays[f"score/{name}"]
        color = style.SERIES[i]
        spread = np.repeat(places, values.shape[1])
        panel.plot(spread, values.ravel(), style.MARKERS[i], color=color, ms=3, alpha=0.5)
        panel.plot(places, np.median(values, axis=1), color=color, lw=1.4, label=label)
    panel.axhline(0, color=style.GREY, lw=0.8)
    panel.set_xticks(places, [f"{w:g}" for w in weight])
    panel.set(xlabel="weight of the levels (0: plain)", ylabel="score (no unit)")
    panel.set_ylim(-0.1, 1.05)
    panel.legend(loc="upper right", bbox_to_anchor=(1.0, 0.87))
