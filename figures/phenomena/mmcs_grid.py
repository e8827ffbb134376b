"""Scores over penalty and dictionary size, one heat map each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from figures import style

_PANELS = {
    "mmcs": ("features found: MMCS with the truth", "mean largest cosine (no unit)", 1.0),
    "larger": ("agreement with the next larger dictionary", "mean largest cosine", 1.0),
    "dead": ("dead latents", "latents that never fire", None),
    "missed": ("reconstruction error", "share of the variance missed", 1.0),
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`mmcs`, `dead`, `missed` [size, penalty] and `larger`, one row fewer."""
    sizes = arrays["size"]
    figure = style.new(10.4, 0.44 * 2 * len(sizes) + 2.4)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for panel, (name, (title, unit, top)) in zip(
        panels.ravel(), _PANELS.items(), strict=True
    ):
        values = arrays[name]
        top = top or max(1.0, float(values.max()))
        _draw_cells(panel, values, top, "{:.0f}" if name == "dead" else "{:.2f}")
        panel.set_title(title)
        bar = figure.colorbar(panel.images[0], ax=panel, shrink=0.85, pad=0.01)
        bar.set_label(unit)
    true = record["metrics"]["n_features"]
    places = np.arange(len(arrays["penalty"]))
    for panel in panels[-1]:
        panel.set_xticks(places, [f"{p:.2g}" for p in arrays["penalty"]])
        panel.set_xlabel("penalty (L1 weight; squared error summed)")
    for panel in panels[:, 0]:
        labels = [f"{n} (x {n / true:g})" for n in sizes]
        panel.set_yticks(np.arange(len(sizes)), labels)
        panel.set_ylabel(f"latents (x the {true} features)")
    panels[0, 0].set_ylim(-0.5, len(sizes) - 0.5)
    figure.suptitle(
        "A band of penalties recovers the truth, if there are latents enough; "
        "agreement between sizes finds the band without it"
    )
    return figure


def _draw_cells(panel: Axes, values: np.ndarray, top: float, form: str) -> None:
    norm = Normalize(0, top)
    panel.imshow(values, norm=norm, cmap="viridis", origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        color = style.BLACK if norm(value) > 0.6 else "white"
        text = form.format(value)
        panel.text(column, row, text, color=color, fontsize=7, ha="center", va="center")
    for side in panel.spines.values():
        side.set_visible(False)
