"""Who is held at which price on hidden activity, and what it costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

_HELD = 0.5


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `norm`, `norm_alone`, `superposition` [penalty, feature] and the errors."""
    figure = style.new(11.0, 3.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
    names = [f"{penalty:.3g}" for penalty in arrays["penalty"]]
    image = _draw_norms(left, arrays["norm"], arrays["norm_alone"], names)
    figure.colorbar(image, ax=left, label="norm of the feature's row")
    _draw_counts(middle, arrays, record["metrics"]["n_hidden"], names)
    _draw_errors(right, arrays, names)
    for panel in (left, middle, right):
        panel.set_xlabel(r"penalty $\lambda$ on $\|h\|_1$")
    figure.suptitle(
        "A price on hidden activity ends superposition: important features alone are held"
    )
    return figure


def _draw_norms(panel: Axes, norm: np.ndarray, alone: np.ndarray, names: list[str]):
    image = panel.imshow(norm.T, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    worth = (alone > 0).sum(axis=1) - 0.5
    places = np.arange(len(names))
    panel.step(places, worth, where="mid", color=style.ORANGE, lw=1.8)
    panel.set_xticks(places, names, rotation=45)
    panel.set_yticks(np.arange(0, norm.shape[1], 5))
    panel.set(
        ylabel="feature, most important first", title="orange: worth its price, closed form"
    )
    return image


def _draw_counts(panel: Axes, arrays, n_hidden: int, names: list[str]) -> None:
    held = arrays["norm"] > _HELD
    shared = held & (arrays["superposition"] > 0.02)
    places = np.arange(len(names))
    panel.plot(places, held.sum(1), "o-", color=style.BLUE, label="held", ms=4)
    panel.plot(places, shared.sum(1), "s-", color=style.ORANGE, label="shared", ms=4)
    panel.axhline(n_hidden, color=style.GREY, lw=0.8, ls=":", label="dimensions")
    panel.set_xticks(places, names, rotation=45)
    panel.set(ylabel="features", title="held, and in superposition", ylim=(-0.3, None))
    panel.legend()


def _draw_errors(panel: Axes, arrays, names: list[str]) -> None:
    places = np.arange(len(names))
    panel.plot(places, arrays["error"], "o", color=style.BLUE, label="best model", ms=4.5)
    panel.plot(
        places,
        arrays["error_alone"],
        color=style.BLACK,
        lw=1,
        label="closed form, no sharing",
    )
    panel.set_xticks(places, names, rotation=45)
    panel.set(ylabel="error without the penalty, per feature", title="what it costs")
    panel.set_ylim(bottom=0)
    panel.legend()
