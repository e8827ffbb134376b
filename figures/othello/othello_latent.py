"""One latent of a dictionary: how strongly it fires, and the boards on which it does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures import style
from figures.othello.othello_boards import draw_board

COLUMNS = 6


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Left its values, right boards from the strongest to the weakest."""
    card, boards = record["metrics"]["latent"], arrays["latent/boards"]
    n_rows = -(-len(boards) // COLUMNS)
    figure = style.new(3.6 + 1.5 * COLUMNS, 1.8 * n_rows + 0.6)
    parts = figure.subfigures(1, 2, width_ratios=[3.6, 1.5 * COLUMNS])
    left, right = np.asarray(parts)
    _draw_values(left.subplots(), card, arrays)
    panels = right.subplots(n_rows, COLUMNS, squeeze=False).reshape(-1)
    for i, panel in enumerate(panels[: len(boards)]):
        draw_board(panel, boards[i])
        color = style.BLUE if arrays["latent/board_legal"][i] else style.ORANGE
        r, c = divmod(card["square"], len(boards[i]))
        mark = {"fill": False, "lw": 2, "edgecolor": color}
        panel.add_patch(Rectangle((c + 0.04, r + 0.04), 0.92, 0.92, **mark))
        panel.set_title(f"z = {arrays['latent/board_z'][i]:.2g}", fontsize=8)
    for panel in panels[len(boards) :]:
        panel.set_axis_off()
    figure.suptitle(
        f"Latent {card['latent']} tells that {card['move']} is legal, F1 {card['f1']:.2f}. "
        "Black moves next; the frame is orange where it is not"
    )
    return figure


def _draw_values(panel: Axes, card: Mapping[str, Any], arrays) -> None:
    z, legal = arrays["latent/z"], arrays["latent/legal"]
    bins = np.linspace(0, z.max(), 40)
    for which, color, label in (
        (legal, style.BLUE, f"{card['move']} is legal"),
        (~legal, style.ORANGE, "it is not"),
    ):
        panel.hist(z[which], bins, color=color, alpha=0.6, label=label)
    panel.axvline(card["threshold"], color=style.BLACK, ls="--", lw=1, label="threshold")
    panel.set_yscale("log")
    panel.set_xlabel("value of the latent, z")
    panel.set_ylabel("positions (log scale)")
    panel.legend()
