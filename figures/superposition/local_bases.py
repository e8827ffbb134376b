"""Two sets of correlated features in too few dimensions: W W^T, ordered by set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One matrix per density, the best seed's; the sets are framed."""
    density, best = arrays["density"], arrays["best"]
    figure = style.new(3.4 * len(density) + 1, 3.9)
    panels = figure.subplots(1, len(density), squeeze=False)[0]
    for i, panel in enumerate(panels):
        image = _draw_matrix(panel, arrays["gram"][i, best[i]])
        panel.set_title(f"set on with probability {density[i]:.3g}")
    panels[0].set_ylabel("feature i")
    figure.colorbar(image, ax=panels, label="overlap of directions, W_i · W_j", shrink=0.85)
    figure.suptitle(
        "Features that fire together have an almost orthogonal basis (framed blocks);\n"
        "the interference is between the sets"
    )
    return figure


def _draw_matrix(panel: Axes, gram: np.ndarray) -> AxesImage:
    image = panel.imshow(gram, cmap="RdBu_r", vmin=-1, vmax=1)
    half = len(gram) / 2
    for corner in (0, half):
        panel.add_patch(
            Rectangle((corner - 0.5, corner - 0.5), half, half, fill=False, lw=1.5)
        )
    panel.set_xlabel("feature j")
    ticks = range(0, len(gram), 5)
    panel.set(xticks=ticks, yticks=ticks)
    return image
