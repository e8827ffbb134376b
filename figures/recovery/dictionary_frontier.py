"""Which dictionary finds the features of which world: one row per variant, best first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

ROW = 0.19  # inches


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `WORLD/VARIANT/SCORE` [target, seed] and `targets`, wanted L0 over the true one.

    Rows are sorted by the mean over worlds of the median mcc_dec at the true L0.
    """
    metrics = record["metrics"]
    worlds, families = metrics["worlds"], metrics["families"]
    names = by_score(record, arrays)
    color = {
        name: style.SERIES[i % len(style.SERIES)]
        for i, members in enumerate(families.values())
        for name in members
    }
    figure = style.new(2.4 * len(worlds) + 2.6, ROW * len(names) + 2.2)
    panels = figure.subplots(1, len(worlds), squeeze=False, sharey=True)[0]
    for panel, world in zip(panels, worlds, strict=True):
        for row, name in enumerate(names):
            _draw_row(panel, row, arrays, f"{world}/{name}", color[name])
        for end, look in (("ceiling", "--"), ("floor", ":")):
            panel.axvline(metrics[world][end]["mcc_dec"], color=style.BLACK, lw=1, ls=look)
        panel.set(title=world, xlim=(-0.03, 1.03), xlabel="score (no unit)")
        panel.set_yticks(range(len(names)), names)
        panel.grid(axis="y", color="0.92", lw=0.8)
        panel.set_axisbelow(True)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    panels[0].set_ylabel("variant, best first")
    figure.legend(
        handles=_handles(families), loc="outside lower center", ncols=3, fontsize=8
    )
    figure.suptitle(
        "What finds the features (filled: matched cosine) is not what explains most "
        "(open: explained variance)"
    )
    return figure


def at_true_l0(arrays: Mapping[str, np.ndarray]) -> int:
    """The place of the target that is nearest to the true L0."""
    return int(np.abs(np.log(arrays["targets"])).argmin())


def by_score(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Variants by the mean over worlds of their median mcc_dec at the true L0."""
    metrics, target = record["metrics"], at_true_l0(arrays)
    mean = {
        name: np.mean(
            [
                np.median(arrays[f"{world}/{name}/mcc_dec"][target])
                for world in metrics["worlds"]
            ]
        )
        for members in metrics["families"].values()
        for name in members
    }
    return sorted(mean, key=lambda name: -mean[name])


def _draw_row(
    panel: Axes, row: int, arrays: Mapping[str, np.ndarray], of: str, color: str
) -> None:
    found, explained = arrays[f"{of}/mcc_dec"], arrays[f"{of}/explained_variance"]
    target = at_true_l0(arrays)
    medians = np.median(found, axis=1)
    panel.plot([medians.min(), medians.max()], [row, row], "-", color=color, lw=1.2)
    share = np.median(explained[target])
    if share >= 0:
        panel.plot(share, row, "D", mfc="white", mec=style.GREY, ms=4, mew=0.9)
    panel.plot(found[target], [row] * found.shape[1], "|", color=color, ms=6, mew=0.9)
    panel.plot(medians[target], row, "o", color=color, ms=5.5)


def _handles(families: Mapping[str, Any]) -> list[Line2D]:
    """Legend entries: a colour for each family, then what each mark stands for."""
    colors = [
        Line2D(
            [], [], color=style.SERIES[i % len(style.SERIES)], ls="", marker="o", label=f
        )
        for i, f in enumerate(families)
    ]
    marks = [
        ("o", style.GREY, "mcc_dec, median at the true L0"),
        ("|", style.GREY, "each seed"),
        ("D", "white", "explained variance, if above 0"),
    ]
    lines = [
        (style.GREY, "-", "medians from fewest to most latents on"),
        (style.BLACK, "--", "true directions"),
        (style.BLACK, ":", "random directions"),
    ]
    return [
        *colors,
        *(
            Line2D([], [], color=style.GREY, ls="", marker=mark, mfc=face, label=label)
            for mark, face, label in marks
        ),
        *(
            Line2D([], [], color=color, lw=1, ls=ls, label=label)
            for color, ls, label in lines
        ),
    ]
