"""Cosines of learned and true directions, the latents in the order of their matches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel per variant, from `cosine/NAME` [latent, feature], matched rows first."""
    names = record["metrics"]["variants"]
    figure = style.new(3.1 * len(names) + 0.6, 3.9)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        cosine = arrays[f"cosine/{name}"]
        panel.imshow(cosine.T, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        shown = record["metrics"]["shown"][name]
        panel.set_title(f"{name}\nmcc_dec {shown['mcc_dec']:.3f}, L0 {shown['l0']:.2f}")
        panel.set_xlabel("latent, in matched order")
        for side in panel.spines.values():
            side.set_visible(True)
    panels[0].set_ylabel("true feature")
    bar = figure.colorbar(panels[0].images[0], ax=list(panels), shrink=0.75, pad=0.01)
    bar.set_label("cosine (no unit)")
    figure.suptitle("A recovered feature is a red cell on the diagonal")
    return figure
