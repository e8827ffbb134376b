"""Agreement of seeds over training, beside recovery, and seed against seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """`KIND/agreement` [row], `KIND/truth` [row, seed], `KIND/pairwise` [seed, seed]."""
    metrics = record["metrics"]
    names = metrics["kinds"]
    figure = style.new(10.4, 6.2)
    above, below = figure.subfigures(2, 1, height_ratios=[1.15, 1], squeeze=False)[:, 0]
    left, right = above.subplots(1, 2, width_ratios=[1.5, 1])
    _draw_courses(left, names, metrics["floor"], arrays)
    _draw_recovery(right, names, arrays)
    panels = below.subplots(1, len(names), squeeze=False)[0]
    image = None
    for name, panel in zip(names, panels, strict=True):
        image = _draw_table(panel, arrays[f"{name}/pairwise"])
        panel.set_title(f"{name}: {metrics[name]['pw_mcc']:.3f} on average")
    bar = below.colorbar(image, ax=panels, shrink=0.85)
    bar.set_label("mcc_dec of two seeds")
    figure.suptitle("Seeds agree where a penalty or a rule keeps codes sparse")
    return figure


def _draw_courses(
    panel: Axes, names: list[str], floor: float, arrays: Mapping[str, np.ndarray]
) -> None:
    for i, name in enumerate(names):
        panel.plot(
            arrays["step"],
            arrays[f"{name}/agreement"],
            color=style.SERIES[i],
            marker=style.MARKERS[i],
            markevery=(i, 5),
            ms=4,
            label=name,
        )
    panel.axhline(floor, color=style.GREY, ls=":", label="random rows")
    panel.set(ylim=(min(0.35, floor - 0.03), 1.02))
    panel.set_xlabel("training step")
    panel.set_ylabel("agreement of seeds, PW-MCC")
    panel.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _draw_recovery(panel: Axes, names: list[str], arrays: Mapping[str, np.ndarray]) -> None:
    panel.plot([0, 1], [0, 1], ":", color=style.GREY)
    for i, name in enumerate(names):
        pairwise = arrays[f"{name}/pairwise"]
        with_others = (pairwise.sum(axis=1) - 1) / (len(pairwise) - 1)
        truth = arrays[f"{name}/truth"][-1]
        panel.plot(truth, with_others, style.MARKERS[i], color=style.SERIES[i], ms=6)
    panel.set(xlim=(0.5, 1.02), ylim=(0.5, 1.02), aspect="equal")
    panel.set_xlabel("agreement with the truth, mcc_dec")
    panel.set_ylabel("agreement with the other seeds")


def _draw_table(panel: Axes, pairwise: np.ndarray):
    image = panel.imshow(pairwise, vmin=0.4, vmax=1.0, cmap="viridis")
    for (row, column), value in np.ndenumerate(pairwise):
        colour = style.BLACK if value > 0.8 else "white"
        text = f"{value:.2f}"
        panel.text(column, row, text, color=colour, fontsize=7, ha="center", va="center")
    ticks = range(len(pairwise))
    panel.set_xticks(ticks)
    panel.set_yticks(ticks)
    panel.set_xlabel("seed")
    panel.set_ylabel("seed")
    panel.tick_params(length=0)
    for side in panel.spines.values():
        side.set_visible(False)
    return image
