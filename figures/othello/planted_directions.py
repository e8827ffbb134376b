"""How near dictionaries come to directions, against how firmly these were planted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

CONTROLS = {"no planting": "--", "before training": "-."}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `PLAYER/VARIANT/mcc_dec` [seed], `PLAYER/VARIANT/cosine` [seed, feature]."""
    metrics = record["metrics"]
    figure = style.new(12.0, 5.0)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.1, 1.2, 0.9])
    _draw_weights(left, metrics, arrays)
    _draw_features(middle, metrics, arrays)
    _draw_cost(right, metrics, arrays)
    for panel in (left, right):
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_xlabel("weight of planting in the loss (log scale)")
    figure.suptitle("Directions that a player was trained to use, and who finds them")
    return figure


def _players(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [f"weight {weight:g}" for weight in arrays["weights"]]


def _draw_weights(panel: Axes, metrics: Mapping[str, Any], arrays) -> None:
    weights = arrays["weights"]
    for i, variant in enumerate(metrics["variants"]):
        found = np.stack([arrays[f"{p}/{variant}/mcc_dec"] for p in _players(arrays)])
        middle = found.mean(axis=1)
        color, marker = style.SERIES[i], style.MARKERS[i]
        spread = np.stack([middle - found.min(axis=1), found.max(axis=1) - middle])
        look = {"color": color, "marker": marker, "ms": 4, "lw": 1, "elinewidth": 0.6}
        panel.errorbar(weights, middle, yerr=np.maximum(spread, 0), label=variant, **look)
    true = [arrays[f"{player}/regression"].mean() for player in _players(arrays)]
    label = "regression on the features"
    panel.plot(weights, true, color=style.BLACK, lw=1, marker="_", label=label)
    for control, line in CONTROLS.items():
        best = max(arrays[f"{control}/{v}/mcc_dec"].mean() for v in metrics["variants"])
        panel.axhline(best, color=style.GREY, lw=1, ls=line, label=f"best, {control}")
    panel.axhline(metrics["floor"], color=style.GREY, lw=1, ls=":", label="random rows")
    panel.set(ylabel="mean matched cosine, mcc_dec (no unit)", ylim=(0, 1.03))
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _draw_features(panel: Axes, metrics: Mapping[str, Any], arrays) -> None:
    firm = _players(arrays)[-1]
    names, variants = metrics["names"], metrics["variants"]
    rows = [arrays[f"{firm}/{variant}/cosine"].mean(axis=0) for variant in variants]
    rows.append(arrays[f"{firm}/regression"])
    values = np.stack(rows, axis=1)
    panel.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        color = style.BLACK if value > 0.6 else "white"
        panel.text(j, i, f"{value:.2f}", ha="center", va="center", color=color, size=7)
    panel.set_xticks(range(len(rows)), [*variants, "regression"], rotation=20)
    panel.set_yticks(range(len(names)), names)
    panel.set_title(f"cosine with each direction, {firm}")


def _draw_cost(panel: Axes, metrics: Mapping[str, Any], arrays) -> None:
    players = metrics["players"]
    for i, score in enumerate(("excess", "missed", "leaked")):
        found = [players[player][score] for player in _players(arrays)]
        look = {"color": style.SERIES[i], "marker": style.MARKERS[i], "ms": 4, "lw": 1}
        label = "loss above its floor (nats)" if score == "excess" else score
        panel.plot(arrays["weights"], found, label=label, **look)
    alone = players["no planting"]["excess"]
    label = "loss without planting"
    panel.axhline(alone, color=style.SERIES[0], lw=1, ls="--", label=label)
    panel.set(title="what it costs, and what is left", ylabel="nats, or shares", ylim=0)
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
