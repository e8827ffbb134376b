"""How every figure looks, and how it is saved."""

import functools
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text

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


_ROOM = 0.97  # of a figure's width, for its title

Drawn = ParamSpec("Drawn")


def styled(draw: Callable[Drawn, Figure]) -> Callable[Drawn, Figure]:
    """`draw` with these settings in force while it draws, and no longer.

    A title of the whole figure, or of a part of it, that is wider than what it stands
    over is broken into lines: the same title serves a figure of two columns and of ten.
    """

    @functools.wraps(draw)
    def wrapped(*args: Drawn.args, **kwargs: Drawn.kwargs) -> Figure:
        with matplotlib.rc_context(_SETTINGS):
            figure = draw(*args, **kwargs)
            for part in _with_parts(figure):
                for text in part.texts:
                    _wrap(text, _ROOM * part.bbox.width)
            return figure

    return wrapped


def _with_parts(figure: Figure | SubFigure) -> Iterator[Figure | SubFigure]:
    """The figure and all of its subfigures."""
    yield figure
    for part in figure.subfigs:
        yield from _with_parts(part)


def _wrap(text: Text, width: float) -> None:
    """Breaks `text` into lines that are no wider than `width` pixels."""
    lines = text.get_text().split("\n")
    broken = [part for line in lines for part in _parts(text, line, width)]
    text.set_text("\n".join(broken))


def _parts(text: Text, line: str, width: float) -> list[str]:
    """`line` in as few parts as fit, of about equal length; words stay whole."""
    ways = [_broken(line, n) for n in range(len(line), 0, -1)]
    fitting = next((way for way in ways if _widest(text, way) <= width), ways[-1])
    return [way for way in ways if len(way) == len(fitting)][-1]


def _broken(line: str, n_characters: int) -> list[str]:
    return textwrap.wrap(
        line, n_characters, break_long_words=False, break_on_hyphens=False
    ) or [line]


def _widest(text: Text, lines: list[str]) -> float:
    """Pixels of the widest of `lines`, drawn as `text` is."""
    text.set_text("\n".join(lines))
    return text.get_window_extent().width


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
