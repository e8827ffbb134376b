"""Monosemantic neurons and loss against the learning rate and the number of neurons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

LABELS = ("plain start", "negative start, with decay")


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two sweeps, training and biases; below, what each neuron responds to."""
    figure = style.new(10.8, 8.6)
    above, below = figure.subfigures(2, 1, height_ratios=[1.6, 1], squeeze=False)[:, 0]
    panels = above.subplots(2, 3, height_ratios=[1.3, 1])
    draw_sweep(
        panels[:, 0], arrays["rate"], arrays["per_feature"], arrays["loss"], "learning rate"
    )
    draw_sweep(
        panels[:, 1],
        arrays["neurons"],
        arrays["per_feature_of_neurons"],
        arrays["loss_of_neurons"],
        "neurons",
    )
    draw_course(panels[0, 2], arrays)
    draw_biases(panels[1, 2], arrays)
    settings = record["settings"]
    panels[0, 0].set_title(f"{settings['n_neurons']} neurons")
    panels[0, 1].set_title(f"learning rate {settings['rate']:g}")
    panels[0, 0].set_ylabel("monosemantic neurons / features")
    panels[1, 0].set_ylabel("loss / loss of zero")
    panels[0, 0].legend()
    matrices = below.subplots(1, 2)
    for panel, responses, label in zip(matrices, arrays["responses"], LABELS, strict=True):
        draw_responses(panel, responses)
        panel.set_title(f"responses to one feature at a time: {label}")
    figure.suptitle(
        "Monosemantic neurons: more of them at high rates, with many neurons, and for some "
        "sizes with biases that start below zero"
    )
    return figure


def draw_sweep(
    panels: np.ndarray,
    values: np.ndarray,
    per_feature: np.ndarray,
    loss: np.ndarray,
    label: str,
) -> None:
    """Above, monosemantic neurons per feature; below, the loss; [start, value, seed]."""
    for panel, found in zip(panels, (per_feature, loss), strict=True):
        for i, (row, marker) in enumerate(zip(found, style.MARKERS, strict=False)):
            color = style.SERIES[i]
            panel.plot(values, row.mean(axis=-1), "-", color=color, label=LABELS[i])
            panel.plot(values, row, marker, color=color, ms=4)
        set_log_ticks(panel, values)
        panel.set_ylim(0, None)
    panels[0].axhline(1, color=style.GREY, lw=0.6, ls=":")
    panels[1].set_xlabel(f"{label} (log scale)")


def draw_course(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    """How monosemantic neurons come about: a line for each start and rate."""
    n_rates = len(arrays["rate"])
    for i, color in enumerate(style.SERIES[: len(LABELS)]):
        for j in range(n_rates):
            panel.plot(
                arrays["step"],
                arrays["history"][:, i, j].mean(axis=-1),
                color=color,
                alpha=0.25 + 0.75 * j / max(1, n_rates - 1),
            )
    panel.axhline(1, color=style.GREY, lw=0.6, ls=":")
    panel.set(ylim=(0, None), xlabel="step", title="in training; fainter: lower rates")


def draw_biases(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    for i, row in enumerate(arrays["bias"]):
        panel.plot(arrays["rate"], row, style.MARKERS[i] + "-", color=style.SERIES[i], ms=4)
    panel.axhline(0, color=style.GREY, lw=0.6, ls=":")
    set_log_ticks(panel, arrays["rate"])
    panel.set(xlabel="learning rate (log scale)", ylabel="mean final bias")


def set_log_ticks(panel: Axes, values: np.ndarray) -> None:
    """A logarithmic axis marked at `values` alone."""
    panel.set_xscale("log")
    panel.set_xticks(values, [f"{value:g}" for value in values])
    panel.minorticks_off()


def draw_responses(panel: Axes, responses: np.ndarray) -> None:
    """[feature, neuron]; neurons in the order of their share, features of their neuron."""
    share = responses.max(axis=0) / np.maximum(responses.sum(axis=0), 1e-10)
    by_neuron = responses[:, np.argsort(-share, kind="stable")]
    in_order = by_neuron[np.argsort(by_neuron.argmax(axis=1), kind="stable")]
    panel.imshow(in_order, cmap="Greys", vmin=0, vmax=np.quantile(in_order, 0.999))
    panel.set(xlabel="neuron, most monosemantic first", ylabel="feature", aspect="auto")
