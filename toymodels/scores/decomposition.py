"""Scores of a parameter decomposition: components that should add up to a model's weights.

A toy model's weights W [feature, hidden] decompose into one component per feature: the
matrix that holds row W_i and zeros elsewhere. Both scores look at one row of W at a time
(one column in the papers, whose W is transposed), as Braun et al. 2025 (arXiv 2501.14926)
and Bushnaq et al. 2025 (arXiv 2506.20790) do.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from synthetic.validation import require_finite, require_width


class Agreement(NamedTuple):
    """Attributes:
    mmcs: mean over rows W_i of the largest cosine of row i of a component; 1 is best.
    l2_ratio: mean over rows of the length of that component's row over the length of
        W_i; below 1 the components have shrunk.
    """

    mmcs: float
    l2_ratio: float


def by_row(W: Float[Array | np.ndarray, "feature hidden"]) -> np.ndarray:
    """The true components [feature, feature, hidden] of a toy model."""
    rows = np.asarray(W, float)
    return np.eye(len(rows))[:, :, None] * rows


def agreement(
    components: Float[Array | np.ndarray, "component feature hidden"],
    W: Float[Array | np.ndarray, "feature hidden"],
) -> Agreement:
    """How well components hold the rows of W, each row in one of them.

    Raises:
        ValueError: shapes differ, a number is not finite, or a row of W is zero.
    """
    parts, true = np.asarray(components, float), np.asarray(W, float)
    fix = "a component has the shape of W"
    require_width("the number of rows of a component", parts.shape[-2], len(true), fix)
    require_width("the width of a component", parts.shape[-1], true.shape[-1], fix)
    require_finite("components", parts)
    require_finite("W", true)
    norm = np.linalg.norm(true, axis=-1)
    if not norm.all():
        raise ValueError(
            f"row {int(norm.argmin())} of W is zero, expected a direction in each; leave "
            "out the features that the model dropped"
        )
    length = np.linalg.norm(parts, axis=-1)
    cosine = np.sum(parts * true, axis=-1) / (norm * np.where(length > 0, length, 1))
    best = cosine.argmax(axis=0)
    rows = np.arange(len(true))
    return Agreement(
        float(cosine[best, rows].mean()), float(np.mean(length[best, rows] / norm))
    )
