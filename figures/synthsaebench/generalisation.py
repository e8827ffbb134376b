"""A variant's rank in each world: lines that cross are rankings that do not carry over."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

PANELS = {
    "latent_f1": "F1 of latents",
    "mcc_dec": "mean matched cosine, mcc_dec",
    "explained_variance": "explained variance",
}
NAMES = {
    "synthsaebench_v2": "Synth-\nSAEBench",
    "independent": "inde-\npendent",
    "correlated": "corre-\nlated",
    "deep_trees": "deep\ntrees",
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """From `rank/SCORE` and `score/SCORE` [world, variant]."""
    metrics = record["metrics"]
    figure = style.new(3.6 * len(PANELS) + 0.4, 0.42 * len(metrics["variants"]) + 2.4)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (score, label) in zip(panels, PANELS.items(), strict=True):
        _draw_score(panel, metrics, arrays[f"rank/{score}"], arrays[f"score/{score}"])
        panel.set_title(label)
    panels[0].set_ylabel("rank (1 is best)")
    panels[0].set_ylim(len(metrics["variants"]) + 0.5, 0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    figure.suptitle("Ranks by world, with the scores they rest on")
    return figure


def _draw_score(panel: Axes, metrics, ranks: np.ndarray, scores: np.ndarray) -> None:
    places = np.arange(len(metrics["worlds"]))
    for i, name in enumerate(metrics["variants"]):
        color = style.SERIES[i]
        panel.plot(
            places, ranks[:, i], color=color, marker=style.MARKERS[i], ms=5, label=name
        )
        for x, rank, score in zip(places, ranks[:, i], scores[:, i], strict=True):
            panel.annotate(
                f"{score:.2f}",
                (x, rank),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=color,
                bbox={"fc": "white", "ec": "none", "pad": 0.4},
            )
    names = [str(NAMES.get(name, name)) for name in metrics["worlds"]]
    panel.set_xticks(places, names, fontsize=7.5)
    panel.set_xlabel("world")
    panel.set_yticks(np.arange(1, len(metrics["variants"]) + 1))
    panel.set_xlim(-0.35, len(places) - 0.65)
