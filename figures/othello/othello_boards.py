"""Boards as boards: the true one, the one a probe reads, and where they differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from figures import style

BOARD, EMPTY = "#7FB58F", 2
MOST_MOVES = 11
ROWS = {"true": "true", "decoded": "read by the probe", "wrong": "differ"}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One game: a column per move, eleven at most, discs in their true colours."""
    game = int(arrays["boards/running"].sum(axis=1).argmax())
    true, decoded = arrays["boards/true"][game], arrays["boards/decoded"][game]
    black = arrays["boards/black"][game]
    running = np.flatnonzero(arrays["boards/running"][game])
    n_shown = min(len(running), MOST_MOVES)
    shown = running[np.linspace(0, len(running) - 1, n_shown).round().astype(int)]
    figure = style.new(1.0 * len(shown) + 1.2, 4.2)
    panels = figure.subplots(len(ROWS), len(shown), squeeze=False)
    for column, t in zip(panels.T, shown, strict=True):
        draw_board(column[0], true[t], black[t])
        draw_board(column[1], decoded[t], black[t])
        _draw_wrong(column[2], true[t] != decoded[t])
        column[0].set_title(f"move {t + 1}", fontsize=8)
    for panel, label in zip(panels[:, 0], ROWS.values(), strict=True):
        panel.set_ylabel(label)
    panels[-1, len(shown) // 2].set_xlabel("column of the board; time runs to the right")
    wrong = (true != decoded)[running].mean()
    site = record["metrics"]["sites"][record["metrics"]["best_site"]]
    figure.suptitle(f"After {site}: {1 - wrong:.0%} of this game's squares are read right")
    return figure


def empty_board(panel: Axes, size: int) -> None:
    """A green board with lines; a square is one unit, (0, 0) the upper left corner."""
    panel.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xticks=[], yticks=[])
    panel.set_facecolor(BOARD)
    for line in range(1, size):
        panel.axhline(line, color=style.BLACK, lw=0.4)
        panel.axvline(line, color=style.BLACK, lw=0.4)


def draw_board(panel: Axes, content: np.ndarray, black: bool = True) -> None:
    """Squares hold 0 (mine), 1 (theirs) or 2 (empty); `black` says whether I am black."""
    empty_board(panel, len(content))
    for (r, c), held in np.ndenumerate(content):
        if held != EMPTY:
            is_black = (held == 0) == bool(black)
            color = style.BLACK if is_black else "white"
            panel.add_patch(Circle((c + 0.5, r + 0.5), 0.38, color=color, lw=0))


def _draw_wrong(panel: Axes, wrong: np.ndarray) -> None:
    empty_board(panel, len(wrong))
    for r, c in np.argwhere(wrong):
        panel.add_patch(Rectangle((c, r), 1, 1, color=style.ORANGE, lw=0))
