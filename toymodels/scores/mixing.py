"""Which features a latent is made of: mixing matrices in place of raw cosines.

With w_i = sum_j M_ij d_j, an ideal dictionary has M a permutation with scales. The
decoder's and the encoder's matrices together tell absorption (they disagree) from hedging
(they agree).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synthetic.validation import require_finite, require_range, require_width
from toymodels.sparse_coding.omp import omp

Mixing = Float[np.ndarray, "latent feature"]

_DEPENDENT = 1e-6  # the least singular value, relative, of independent directions


def decoder_mixing(
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    directions: Float[Array | np.ndarray, "feature d_model"],
    most: int = 8,
) -> Mixing:
    """M^dec with w_i = sum_j M_ij d_j + what no feature explains.

    Linearly independent directions: least squares, W_dec D^+, which is unique. Otherwise
    (more features than dimensions) each row is a sparse sum, by orthogonal matching
    pursuit, of at most `most` directions: signed, and only as right as OMP is.

    Raises:
        ValueError: widths differ, or an entry is not finite.
    """
    learned, true = np.asarray(W_dec, float), np.asarray(directions, float)
    fix = "both are rows in the same activation space"
    require_width("the width of W_dec", learned.shape[-1], true.shape[-1], fix)
    require_range("most", most, low=1, fix="a row needs at least one direction")
    require_finite("W_dec", learned)
    require_finite("directions", true)
    if len(true) <= true.shape[1]:
        left, values, right = np.linalg.svd(true, full_matrices=False)
        if values[-1] > _DEPENDENT * values[0]:
            return learned @ (right.T / values) @ left.T
    return _sparse_mixing(learned, true, most)


_pursue = jax.jit(omp, static_argnames=("most", "nonnegative"))


def _sparse_mixing(learned: np.ndarray, true: np.ndarray, most: int) -> Mixing:
    """The support by OMP on the device, the numbers by least squares in float64."""
    length = np.linalg.norm(true, axis=1)
    length = np.where(length > 0, length, 1)
    scale = np.linalg.norm(learned, axis=1)
    rows = learned / np.where(scale > 0, scale, 1)[:, None]
    count = np.full(len(rows), most)
    atoms = jnp.asarray(true / length[:, None], jnp.float32)
    found = _pursue(jnp.asarray(rows, jnp.float32), atoms, count, most, nonnegative=False)
    mixing = np.zeros((len(learned), len(true)))
    for i, support in enumerate(np.asarray(found) != 0):
        if support.any():
            mixing[i, support] = np.linalg.lstsq(true[support].T, learned[i])[0]
    return mixing


def encoder_mixing(
    W_enc: Float[Array | np.ndarray, "d_model latent"],
    directions: Float[Array | np.ndarray, "feature d_model"],
) -> Mixing:
    """M^enc_ij = d_j . e_i: what one unit of feature j adds to the input of latent i."""
    reads, true = np.asarray(W_enc, float), np.asarray(directions, float)
    fix = "W_enc has one column per latent"
    require_width("the number of rows of W_enc", len(reads), true.shape[-1], fix)
    require_finite("W_enc", reads)
    require_finite("directions", true)
    return (true @ reads).T


def features_per_latent(mixing: Mixing) -> Float[np.ndarray, " latent"]:
    """2^H(q_i) with q_ij = M_ij^2 / sum_j M_ij^2: 1 for a pure latent, 2 for a merged pair.

    Scale the directions to one length first if they are not. A row of zeros gives 0.
    """
    return perplexity(np.square(mixing))


def perplexity(weights: Float[np.ndarray, "row item"]) -> Float[np.ndarray, " row"]:
    """2^H of each row scaled to sum 1: the effective number of items; 0 for zeros."""
    total = weights.sum(axis=1)
    share = weights / np.where(total > 0, total, 1)[:, None]
    entropy = -np.sum(share * np.log2(np.where(share > 0, share, 1)), axis=1)
    return np.where(total > 0, 2**entropy, 0.0)
