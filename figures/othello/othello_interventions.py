"""Edits of one disc at every site: how far the player is from the edited board's rules."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style

PANELS = {
    "kl": "KL from the edited board's moves (nats)",
    "errors": "wrong moves among the likeliest n",
    "changed": "changed squares that are wrong (share)",
}
EDITS = {
    "mean difference": style.BLUE,
    "probe": style.ORANGE,
    "1 latent": style.GREEN,
    "4 latents": style.PURPLE,
    "another square": style.GREY,
    "random direction": style.YELLOW,
}
UNTOUCHED = {"no edit": "--", "true board": ":"}
LABELS = {"no edit": "no edit", "true board": "no edit, scored on the true board"}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per score, sites along it; bars are intervals over cases."""
    metrics = record["metrics"]
    sites = metrics["sites"]
    figure = style.new(12.0, 3.8)
    panels = figure.subplots(1, len(PANELS))
    for panel, (score, label) in zip(panels, PANELS.items(), strict=True):
        for i, (edit, color) in enumerate(EDITS.items()):
            value, low, high = arrays[f"{edit}/{score}"].T
            panel.errorbar(
                range(len(sites)),
                value,
                yerr=np.maximum([value - low, high - value], 0),
                color=color,
                marker=style.MARKERS[i],
                ms=5,
                lw=1,
                elinewidth=0.6,
                label=edit,
            )
        value = arrays[f"probe, every site/{score}"][0]
        look = {"color": EDITS["probe"], "ls": "-.", "lw": 1}
        panel.axhline(value, label="probe, every site at once", **look)
        for name, line in UNTOUCHED.items():
            value = metrics["untouched"][name][score][0]
            if score == "changed" and name == "true board":
                continue
            panel.axhline(value, color=style.BLACK, ls=line, lw=1, label=LABELS[name])
        panel.set_xticks(range(len(sites)), sites, rotation=30, ha="right")
        panel.set_xlabel("site that is edited")
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.suptitle(
        "One disc is turned in the stream: does the player follow the new board?"
    )
    return figure
