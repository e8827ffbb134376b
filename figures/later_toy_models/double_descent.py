"""Geometry, dimensionality and loss against the number of training rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

MOST_PANELS = 9
MOST_POINTS = 400
LOWEST_LOSS = 0.03


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Above, features and rows as vectors; below, dimensionality and loss against T."""
    T = arrays["T"]
    figure = style.new(10.8, 8.2)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.45], squeeze=False)[:, 0]
    shown = np.unique(
        np.linspace(0, len(T) - 1, min(MOST_PANELS, len(T))).round().astype(int)
    )
    panels = above.subplots(2, len(shown), squeeze=False)
    for column, i in zip(panels.T, shown, strict=True):
        column[0].set_title(f"T = {T[i]:,}")
        W = arrays["W"][i]
        longest_first = np.argsort(-np.linalg.norm(W, axis=1))
        _draw_vectors(column[0], W[longest_first[:MOST_POINTS]], style.BLUE)
        _draw_vectors(column[1], arrays[f"hidden/{T[i]}"][:MOST_POINTS], style.ORANGE)
    longest = f"\n(the {MOST_POINTS} longest)" if arrays["W"].shape[1] > MOST_POINTS else ""
    panels[0, 0].set_ylabel(f"features $W_i${longest}")
    panels[1, 0].set_ylabel("training rows $h_t$")
    dimensions, losses = below.subplots(2, 1, sharex=True)
    _draw_dimensionality(dimensions, arrays)
    _draw_losses(losses, arrays)
    losses.set_xlabel("training rows T (log scale)")
    figure.suptitle(
        "Few rows: the data form a polygon. Many rows: five features do. "
        "Between them the test loss peaks"
    )
    return figure


def _draw_vectors(panel: Axes, rows: np.ndarray, color: str) -> None:
    reach = 1.25 * np.linalg.norm(rows, axis=1).max()
    lines = np.stack([np.zeros_like(rows), rows], axis=1)
    for line in lines:
        panel.plot(*line.T, color=color, lw=0.6, alpha=0.4)
    panel.plot(*rows.T, "o", color=color, ms=2.5, mew=0)
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    panel.set(xticks=[], yticks=[])
    panel.set_xlabel(f"longest {reach / 1.25:.2g}", fontsize=7)


def _draw_dimensionality(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    generator = np.random.default_rng(0)
    for i, T in enumerate(arrays["T"]):
        for values, color, side in (
            (arrays["feature_dimensionality"][i], style.BLUE, 1.06),
            (arrays[f"data_dimensionality/{T}"], style.ORANGE, 0.94),
        ):
            place = T * side * np.exp(generator.uniform(-0.025, 0.025, len(values)))
            panel.plot(place, values, "o", color=color, ms=2.5, mew=0, alpha=0.5)
    panel.plot([], [], "o", color=style.BLUE, ms=4, label="a feature")
    panel.plot([], [], "o", color=style.ORANGE, ms=4, label="a training row")
    n_hidden = arrays["W"].shape[-1]
    grid = np.geomspace(arrays["T"].min(), arrays["T"].max(), 100)
    panel.plot(
        grid, n_hidden / grid, "--", color=style.BLACK, lw=0.8, label=f"{n_hidden} / T"
    )
    panel.axhline(0.4, color=style.GREY, lw=0.8, ls=":", label="pentagon, 2/5")
    panel.set_ylabel("dimensionality D (no unit)")
    panel.set_ylim(0, 0.75)
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _draw_losses(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    T, best = arrays["T"], arrays["best"]
    panel.set(xscale="log", yscale="log")
    for i, (name, label) in enumerate((("test_loss", "test"), ("train_loss", "training"))):
        color, values = style.SERIES[1 - i], arrays[name]
        for seed in values.T:
            panel.plot(T, seed, style.MARKERS[i], color=color, ms=3, alpha=0.3, mew=0)
        panel.plot(
            T,
            values[np.arange(len(T)), best],
            marker=style.MARKERS[i],
            color=color,
            ms=4.5,
            label=f"{label}, best seed",
        )
    if panel.get_ylim()[0] < LOWEST_LOSS:
        panel.set_ylim(bottom=LOWEST_LOSS)
        panel.plot([], [], " ", label=f"(below {LOWEST_LOSS}: not shown)")
    panel.axhline(1, color=style.GREY, lw=0.8, ls=":", label="a model that answers 0")
    panel.set_ylabel("loss per row (log scale)")
    panel.xaxis.set_major_formatter("{x:,g}")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
