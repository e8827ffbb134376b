"""Signs, without the truth, that a dictionary's L0 is not the data's.

With too few latents on, latents mix correlated features; with too many they mix at will.
Either way both numbers rise, so along a sweep of L0 they are least near the true L0
(Chanin & Garriga-Alonso, Sparse but Wrong, arXiv 2508.16560). They compare dictionaries of
one width on one data set; a single value has no scale.
"""

import numpy as np
from jaxtyping import Array, Float

from synthetic.validation import require_finite, require_range, require_width
from toymodels.scores.geometry import unit_rows

Rows = Float[Array | np.ndarray, "latent d_model"]


def mean_decoder_cosine(W_dec: Rows) -> float:
    """Mean |cos(w_i, w_j)| over pairs of latents, i < j.

    Floor 0 (orthogonal rows); random rows give about sqrt(2 / (pi d_model)); ceiling 1.
    """
    require_finite("W_dec", W_dec)
    rows = unit_rows(np.asarray(W_dec))
    fix = "one row has no pair"
    require_range("the number of rows of W_dec", len(rows), low=2, fix=fix)
    cosine = np.abs(rows @ rows.T)
    return float((cosine.sum() - np.trace(cosine)) / (len(rows) * (len(rows) - 1)))


def nth_decoder_projection(
    x: Float[Array | np.ndarray, "batch d_model"],
    W_dec: Rows,
    b_dec: Float[Array | np.ndarray, " d_model"] | float,
    n: int,
) -> float:
    """s_n: the (n * batch)-th largest of all projections (x - b_dec) . w_i / ||w_i||.

    Take n a little above the true L0. A true dictionary has spent its large projections by
    then and s_n is near 0; a mixed one still projects.
    """
    rows, samples = unit_rows(np.asarray(W_dec)), np.asarray(x, float)
    fix = "both are in the space of activations"
    require_width("the width of W_dec", rows.shape[-1], samples.shape[-1], fix)
    require_range("n", n, 1, len(rows), "a sample has as many projections as latents")
    require_finite("x", x)
    require_finite("W_dec", W_dec)
    projections = ((samples - np.asarray(b_dec, float)) @ rows.T).ravel()
    rank = len(projections) - n * len(samples)
    return float(np.partition(projections, rank)[rank])
