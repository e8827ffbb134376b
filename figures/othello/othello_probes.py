"""Training down to the entropy floor, and what linear probes read at every site."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

SCORES = {"squares": "squares read right", "legal_f1": "legal moves, F1"}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Three panels: loss, illegal moves, probes of the trained model and of the control."""
    figure = style.new(13.0, 3.6)
    loss, illegal, probes = figure.subplots(1, 3)
    step, metrics = arrays["step"], record["metrics"]
    loss.plot(step, arrays["curve/loss"], color=style.BLUE, label="model")
    loss.axhline(metrics["floor"], color=style.BLACK, ls="--", lw=1, label="entropy floor")
    loss.set_ylabel("cross-entropy of the next move (nats)")
    loss.set_title("The loss falls towards its floor")
    for name, label, color in (
        ("illegal_top1", "first choice illegal", style.ORANGE),
        ("illegal_mass", "probability of illegal moves", style.PURPLE),
    ):
        illegal.plot(step, arrays[f"curve/{name}"], color=color, label=label)
    illegal.set_yscale("log")
    illegal.set_ylabel("share (no unit)")
    illegal.set_title("Illegal moves become rare")
    sites = metrics["sites"]
    for i, (score, label) in enumerate(SCORES.items()):
        for name, line in (("trained", "-"), ("control", ":")):
            probes.plot(
                range(len(sites)),
                arrays[f"{name}/{score}"],
                line,
                marker=style.MARKERS[i],
                color=style.SERIES[i],
                label=f"{label}, {name}",
            )
        value = arrays[f"moves/{score}"][0]
        look = {"color": style.SERIES[i], "ls": "--", "lw": 0.8}
        probes.axhline(value, label=f"{label}, from the moves alone", **look)
    probes.set_xticks(range(len(sites)), sites, rotation=30, ha="right")
    probes.set_xlabel("site of the residual stream")
    probes.set_ylabel("score (no unit)")
    probes.set_ylim(top=1)
    probes.set_title("Training adds to what one matrix reads")
    for panel in (loss, illegal):
        panel.set_xlabel("training step")
        panel.legend()
    figure.legend(*probes.get_legend_handles_labels(), loc="outside right center")
    return figure
