"""Boards with one disc turned, and what the player plays before and after the edit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures import style
from figures.othello.othello_boards import draw_board

COLUMNS = {
    "exact": "edited board, exact moves",
    "no edit": "player, no edit",
    "probe": "player, edited by probe",
    "4 latents": "player, edited by 4 latents",
}


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """A row per case; squares are shaded by the probability of a move there."""
    squares = arrays["boards/square"]
    figure = style.new(2.0 * len(COLUMNS) + 0.6, 2.1 * len(squares) + 0.6)
    panels = figure.subplots(len(squares), len(COLUMNS), squeeze=False)
    for i, row in enumerate(panels):
        content = arrays["boards/content"][i].copy()
        place = np.unravel_index(squares[i], content.shape)
        content[place] = 1 - content[place]
        for panel, name in zip(row, COLUMNS, strict=True):
            draw_board(panel, content)
            _draw_moves(panel, arrays[f"boards/{name}"][i])
            r, c = place
            mark = {"fill": False, "edgecolor": style.ORANGE, "lw": 2}
            panel.add_patch(Rectangle((c + 0.04, r + 0.04), 0.92, 0.92, **mark))
    for panel, title in zip(panels[0], COLUMNS.values(), strict=True):
        panel.set_title(title, fontsize=8)
    for i, panel in enumerate(panels[:, 0]):
        panel.set_ylabel(f"case {i + 1}")
    panels[-1, 0].set_xlabel("column of the board")
    figure.suptitle(
        "Black moves next; the framed disc is turned; numbers: probability of a move (%)"
    )
    return figure


def _draw_moves(panel: Axes, probability: np.ndarray) -> None:
    for (r, c), p in np.ndenumerate(probability):
        if p < 0.005:
            continue
        shade = {"color": style.YELLOW, "alpha": float(min(1, 0.15 + p)), "lw": 0}
        panel.add_patch(Rectangle((c, r), 1, 1, **shade))
        panel.text(c + 0.5, r + 0.5, f"{p:.0%}"[:-1], ha="center", va="center", fontsize=8)
