"""One number for two: the code, where it fails, and its loss beside the linear one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `code` and `error` [x, y], and `loss` [ramp, steps]."""
    metrics = record["metrics"]
    figure = style.new(11.0, 3.7)
    first, second, third = figure.subplots(1, 3, width_ratios=[1, 1, 1.1])
    image = _draw_square(first, arrays["code"], cmap="viridis")
    figure.colorbar(image, ax=first, label="code $t$", shrink=0.85)
    first.set_title(f"the code: Z = {metrics['shown_steps']}")
    wrong = np.maximum(arrays["error"], 1e-4)
    image = _draw_square(second, wrong, cmap="cividis", norm=LogNorm(1e-4, 1))
    figure.colorbar(image, ax=second, label="squared error of both", shrink=0.85)
    second.set_title(f"where it fails: $\\epsilon$ = {metrics['shown_ramp']:g}")
    _draw_loss(third, arrays, metrics["linear_loss"])
    figure.suptitle(
        "A few kinks put two dense numbers into one better than any linear code"
    )
    return figure


def _draw_square(panel: Axes, values: np.ndarray, **how: Any):
    panel.set(xlabel="x", ylabel="y", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    return panel.imshow(values.T, origin="lower", extent=(0, 1, 0, 1), **how)


def _draw_loss(panel: Axes, arrays: Mapping[str, np.ndarray], linear: float) -> None:
    ramps, steps = arrays["ramps"], arrays["steps"]
    shades = colormaps["viridis"](np.linspace(0, 0.92, len(ramps)))
    for ramp, loss, color in zip(ramps, arrays["loss"], shades, strict=True):
        panel.plot(steps, loss, "o-", ms=3.5, color=color, label=f"{ramp:g}")
    panel.axhline(linear, color=style.BLACK, ls="--", lw=1, label="best linear code")
    panel.legend(
        title="$\\epsilon$, share of a climb", loc="center left", bbox_to_anchor=(1, 0.5)
    )
    panel.set(
        yscale="log",
        xticks=steps,
        xlabel="steps Z",
        ylabel="mean squared error of x and y",
        title="smaller is better",
    )
