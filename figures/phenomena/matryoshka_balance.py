"""From absorption to hedging as the inner error of a Matryoshka dictionary gains weight."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

_FEATURES = ("parent", "1", "2", "3")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`CHILDREN/decoder` and `CHILDREN/encoder` [beta, seed, latent, feature]."""
    betas = arrays["beta"]
    figure = style.new(10.2, 7.8)
    above, below = figure.subfigures(2, 1, height_ratios=[1.3, 1], squeeze=False)[:, 0]
    near = int(np.abs(betas - (record["metrics"]["equal"]["balance"] or 0.25)).argmin())
    shown = {f"beta = {betas[i]:g}": i for i in dict.fromkeys((0, near, len(betas) - 1))}
    panels = above.subplots(2, len(shown) + 1, squeeze=False)
    image = None
    for row, part in enumerate(("decoder", "encoder")):
        matrices = [arrays[f"equal/{part}"][i] for i in shown.values()]
        matrices.append(arrays[f"equal/detached/{part}"])
        for panel, matrix in zip(panels[row], matrices, strict=True):
            image = _draw_matrix(panel, matrix.mean(axis=0))
        panels[row, 0].set_ylabel(f"{part} of latent")
    for panel, name in zip(panels[0], (*shown, "detached"), strict=True):
        panel.set_title(name)
    bar = above.colorbar(image, ax=panels, shrink=0.7)
    bar.set_label("cosine with the feature")
    left, right = below.subplots(1, 2)
    _draw_equal(left, record["metrics"]["equal"], arrays)
    _draw_unequal(right, record, arrays)
    figure.suptitle("Between absorption and hedging: one balance, if children are alike")
    return figure


def _draw_matrix(panel: Axes, matrix: np.ndarray):
    image = panel.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if abs(value) > 0.7 else style.BLACK
        text = f"{value:.2f}".replace("-0.00", "0.00")
        panel.text(column, row, text, color=colour, fontsize=7, ha="center", va="center")
    panel.set_xticks(range(4), _FEATURES)
    panel.set_yticks(range(4), _FEATURES)
    panel.tick_params(length=0)
    return image


def _draw_equal(
    panel: Axes, metrics: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    x = arrays["beta"]
    kinds = (
        ("children in the parent's encoder", "encoder", style.BLUE, "o", 0),
        ("children in the parent's decoder", "decoder", style.ORANGE, "s", 0),
        ("parent in the children's decoders", "decoder", style.GREEN, "^", 1),
    )
    for label, part, colour, mark, of_children in kinds:
        found = arrays[f"equal/{part}"]
        values = found[:, :, 1:, 0] if of_children else found[:, :, 0, 1:]
        panel.plot(
            x, values.mean(axis=(1, 2)), mark + "-", color=colour, ms=4.5, label=label
        )
    if metrics["balance"] is not None:
        panel.axvline(metrics["balance"], color=style.GREY, ls="--", lw=1)
        panel.annotate(
            f" balance, beta {metrics['balance']:.2f}",
            (metrics["balance"], 0.04),
            xycoords=("data", "axes fraction"),
        )
    panel.axhline(0, color=style.BLACK, lw=0.6)
    panel.set_title("three equal children")
    panel.set_xlabel("beta, weight of the inner error")
    panel.set_ylabel("cosine")
    panel.legend(loc="upper right")


def _draw_unequal(
    panel: Axes, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    x = arrays["beta"]
    encoder = arrays["unequal/encoder"][:, :, 0, 1:].mean(axis=1)
    for i, given in enumerate(record["metrics"]["given"]["unequal"]):
        label = f"P(child | parent) = {given:g}"
        mark = style.MARKERS[i] + "-"
        panel.plot(x, encoder[:, i], mark, color=style.SERIES[i], ms=4.5, label=label)
    panel.axhline(0, color=style.BLACK, lw=0.6)
    panel.set_title("three unequal children")
    panel.set_xlabel("beta, weight of the inner error")
    panel.set_ylabel("child in the parent's encoder (cosine)")
    panel.legend(loc="lower right")
