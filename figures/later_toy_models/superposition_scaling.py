"""Loss against width with strong and with weak superposition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

Arrays = Mapping[str, np.ndarray]


@style.styled
def draw(record: Mapping[str, Any], arrays: Arrays) -> Figure:
    """The two laws, how many features each decay keeps, and whether this tells the loss."""
    figure = style.new(9.6, 7.4)
    (strong, weak), (kept, explained) = figure.subplots(2, 2)
    draw_strong(strong, arrays)
    draw_weak(weak, arrays)
    draw_kept(kept, arrays)
    draw_explained(explained, arrays)
    for panel in (strong, weak, kept):
        panel.set(xscale="log", yscale="log")
        panel.minorticks_off()
        panel.set_xticks(arrays["hidden"], [f"{m}" for m in arrays["hidden"]])
        panel.set_xlabel("hidden dimensions m (log scale)")
    figure.suptitle(
        "Strong superposition: loss near 1 / m. Weak: near the variance of the features "
        "left out"
    )
    return figure


def draw_strong(panel: Axes, arrays: Arrays) -> None:
    """Losses with the most negative decay, and the law 1 / m."""
    m, place = arrays["hidden"], int(arrays["decay"].argmin())
    loss = arrays["loss"][place]
    for color, name, line in shades(arrays["alpha"], loss.T):
        panel.plot(m, line, "o-", color=color, ms=4, label=name)
    law = loss[0].max() * 1.2 * m[0] / m
    panel.plot(m, law, "--", color=style.BLACK, lw=1, label="1 / m")
    panel.set_title(title(arrays["decay"][place]))
    panel.set_ylabel("mean squared error per feature (log scale)")
    panel.legend(title="alpha", loc="lower left")


def draw_weak(panel: Axes, arrays: Arrays) -> None:
    """Losses with the largest decay, and those of all but m features."""
    m, place = arrays["hidden"], int(arrays["decay"].argmax())
    for color, name, line in shades(arrays["alpha"], arrays["loss"][place].T):
        panel.plot(m, line, "o-", color=color, ms=4, label=name)
    for i, (color, _, line) in enumerate(shades(arrays["alpha"], arrays["ideal"].T)):
        label = "all but m features" if i == 0 else None
        panel.plot(m, line, ":", color=color, lw=1.6, label=label)
    panel.set_title(title(arrays["decay"][place]))
    panel.set_ylabel("mean squared error per feature (log scale)")
    panel.legend(title="alpha", loc="lower left")


def draw_kept(panel: Axes, arrays: Arrays) -> None:
    """Rows longer than 1/2 for the largest alpha, by decay."""
    m = arrays["hidden"]
    for i, strength in enumerate(arrays["decay"]):
        found = arrays["represented"][i, :, -1]
        line = np.where(found > 0, found, np.nan)  # none has no place on a log axis
        marker = style.MARKERS[i % len(style.MARKERS)]
        color = style.SERIES[i % len(style.SERIES)]
        panel.plot(m, line, marker + "-", color=color, ms=4, label=f"{strength:g}")
    panel.plot(m, m, ":", color=style.BLACK, lw=1.2, label="m")
    panel.set_title(f"features represented, alpha {arrays['alpha'][-1]:g}")
    panel.set_ylabel("rows with a norm above 1/2 (log scale)")
    panel.legend(title="decay", loc="upper left", bbox_to_anchor=(0, 0.93))


def draw_explained(panel: Axes, arrays: Arrays) -> None:
    """Losses with positive decay against equation 4 at the number represented."""
    for i in np.flatnonzero(arrays["decay"] > 0):
        panel.plot(
            arrays["eq4"][i].ravel(),
            arrays["loss"][i].ravel(),
            style.MARKERS[i % len(style.MARKERS)],
            color=style.SERIES[i % len(style.SERIES)],
            ms=5,
            label=f"{arrays['decay'][i]:g}",
        )
    shown = arrays["eq4"][arrays["decay"] > 0]
    if shown.size:
        ends = np.array([shown.min(), shown.max()])
        panel.plot(ends, ends, ":", color=style.BLACK, lw=1.2, label="equal")
        panel.legend(title="decay", loc="upper left")
    panel.set(xscale="log", yscale="log", title="weak superposition, all widths and alphas")
    panel.set_xlabel("variance of the features not represented, per feature (log scale)")
    panel.set_ylabel("mean squared error per feature (log scale)")


def title(strength: float) -> str:
    """A decay, and what it does to the rows of W."""
    return f"decay {strength:g}: rows {'grow to norm 1' if strength < 0 else 'shrink'}"


def shades(alpha: np.ndarray, lines: np.ndarray) -> list[tuple[Any, str, np.ndarray]]:
    """A color, a name and a line for every alpha."""
    colors = colormaps["viridis"](np.linspace(0, 0.9, len(alpha)))
    names = [f"{value:g}" for value in alpha]
    return list(zip(colors, names, lines, strict=True))
