"""Losses of the toy model and of the dictionaries over training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures import style


@style.styled
def draw(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two panels: the toy model's loss; each variant's unexplained variance and range."""
    figure = style.new(10.0, 3.6)
    model, dictionaries = figure.subplots(1, 2)
    model.plot(arrays["model/step"], arrays["model/loss"], color=style.BLACK)
    model.set_yscale("log")
    model.set_xlabel("training step of the toy model")
    model.set_ylabel("mean squared error per feature (value²)")
    model.set_title("The toy model learns to hold its features")
    for i, name in enumerate(record["metrics"]["variants"]):
        curve = arrays[f"curve/{name}"]
        step, color = arrays["curve/step"], style.SERIES[i]
        dictionaries.plot(
            step, np.median(curve, axis=1), color=color, label=f"{name}, median"
        )
        dictionaries.fill_between(
            step, curve.min(1), curve.max(1), color=color, alpha=0.2, lw=0
        )
    dictionaries.set_yscale("log")
    dictionaries.set_xlabel("training step of the dictionary")
    dictionaries.set_ylabel("squared error / variance of x (no unit)")
    dictionaries.set_title("The dictionaries learn its directions (bands: all seeds)")
    dictionaries.legend()
    return figure
