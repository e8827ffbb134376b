"""The two target models: directions, interference, and what comes through."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Rows of `5-2/W`, cosines of `40-10/W`, and the diagonals of both `responses`."""
    figure = style.new(10.2, 3.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.15, 1.25])
    _draw_rows(left, arrays["5-2/W"])
    rows = arrays["40-10/W"]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    image = middle.imshow(unit @ unit.T, cmap="RdBu_r", vmin=-1, vmax=1)
    middle.set(xlabel="feature", ylabel="feature", title="40-10: cosines of rows of W")
    figure.colorbar(image, ax=middle, shrink=0.8, label="cosine (no unit)")
    for i, name in enumerate(("5-2", "40-10")):
        own = np.sort(arrays[f"{name}/responses"].diagonal())
        place = np.linspace(0, 1, len(own))
        mark = style.MARKERS[i]
        right.plot(place, own, mark, color=style.SERIES[i], ms=4, label=name)
    right.axhline(0.75, color=style.BLACK, ls="--", lw=1, label="went in")
    for within, shade in ((0.1, 0.25), (0.3, 0.12)):
        label = f"within {within}"
        right.axhspan(
            0.75 - within, 0.75 + within, color=style.GREY, alpha=shade, lw=0, label=label
        )
    right.set(ylim=(0, 1), xlabel="features, sorted (share)", ylabel="own output")
    right.set_title("Each feature alone at 0.75")
    right.legend(loc="lower right")
    figure.suptitle("Targets for parameter decomposition: every feature is held")
    return figure


def _draw_rows(panel: Axes, W: np.ndarray) -> None:
    for i, row in enumerate(W):
        panel.plot([0, row[0]], [0, row[1]], "-", color=style.BLUE, lw=1.8)
        panel.plot(*row, "o", color=style.BLUE, ms=5)
        panel.annotate(str(i), 1.14 * row, ha="center", va="center")
    panel.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    panel.set(xlabel="hidden dimension 1", ylabel="hidden dimension 2")
    panel.set_title("5-2: rows of W, one component each")
