"""How every figure looks, and how it is saved."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

# Okabe & Ito (2008): told apart by readers with any common colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, BLACK, GREY = "#56B4E9", "#E69F00", "#000000", "#777777"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
MARKERS = ("o", "s", "^", "D", "v", "P")

_SETTINGS: dict[Any, Any] = {
    "figure.dpi": 100,
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "figures",
    "svg.fonttype": "none",
}


Draw = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Figure]


def styled(draw: Draw) -> Draw:
    """`draw` with these settings in force while it draws, and no longer."""

    @functools.wraps(draw)
    def wrapped(record, arrays):
        with matplotlib.rc_context(_SETTINGS):
            return draw(record, arrays)

    return wrapped


def new(width: float, height: float) -> Figure:
    """An empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes `path`.png and `path`.svg; twice the same but for names in the SVG."""
    with matplotlib.rc_context(_SETTINGS):
        targets = [path.with_suffix(".png"), path.with_suffix(".svg")]
        figure.savefig(targets[0], dpi=160, metadata={"Software": None})
        figure.savefig(targets[1], metadata={"Date": None})
    return targets
