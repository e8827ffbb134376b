"""Loss of compressed computation against label noise, and what each feature gets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left, the loss over the density; right, the answer to each feature alone."""
    figure = style.new(9, 3.6)
    left, right = figure.subplots(1, 2)
    draw_losses(left, arrays)
    draw_answers(right, arrays)
    figure.suptitle(
        "Fifty neurons beat the naive network on noisy labels only, and lose on clean ones"
    )
    return figure


def draw_losses(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    noise, curves = arrays["noise"], {"loss": "own labels", "transplanted": "clean labels"}
    for i, (name, label) in enumerate(curves.items()):
        values = arrays[name][:-1]
        panel.plot(
            noise,
            values.min(axis=1),
            style.MARKERS[i] + "-",
            color=style.SERIES[i],
            label=f"symmetric noise, {label}",
        )
        panel.plot(
            np.full(values.shape[1], arrays["embedding_noise"]),
            arrays[name][-1],
            "*",
            color=style.SERIES[i],
            ms=10,
            mec=style.BLACK,
            mew=0.6,
            label=f"noisy embedding, {label}",
        )
    panel.axhline(
        arrays["naive"].item(), color=style.BLACK, ls="--", lw=0.9, label="naive network"
    )
    panel.set_xlabel("deviation of the label noise M")
    panel.set_ylabel("loss / density")
    panel.set_ylim(0, None)
    panel.legend(loc="upper left")


def draw_answers(panel: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    noise, served = arrays["noise"], arrays["served"]
    best = arrays["loss"].argmin(axis=1)
    shown = dict.fromkeys([0, int(arrays["loss"][:-1].min(axis=1).argmin())])
    for i, row in enumerate([*shown, len(noise)]):
        label = f"noise {noise[row]:g}" if row < len(noise) else "noisy embedding"
        answer = np.sort(served[row, best[row]])[::-1]
        panel.plot(
            np.arange(1, len(answer) + 1), answer, color=style.SERIES[i], label=label
        )
    panel.axhline(1, color=style.GREY, lw=0.6, ls=":")
    panel.set_xlabel("feature, best served first")
    panel.set_ylabel("answer to x = 1 alone (right: 1)")
    panel.set_ylim(0, 1.1)
    panel.legend(loc="lower left")
