"""What an import is held to before it is handed over.

Without data two things can be known. First, that the dictionary computes what the file
says: an independent NumPy form in the library's own layout, in float64, gives the same
codes and reconstructions on probes. Second, for square matrices, that encoder and decoder
belong together as they are read: a trained latent's decoder row points along its encoder
column, and does not when one of the two is transposed; and rows that were kept at length 1
are rows, not columns.

What cannot be known without data: that both matrices are transposed, where neither rows
nor columns have length 1 (a tied pair is as consistent one way as the other, an orthogonal
one even with unit rows); that decoder rows are permuted; that a setting beside the weights
is wrong (a bias before the encoder, k, a scale of the inputs). Samples of the kind that the
dictionary was trained on decide those that matter: it must reconstruct them better than
their mean does.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from toymodels.sae import Dictionary
from toymodels.scores.classification import ratio

_PROBES = 64
_CLOSE = 1e-5  # relative to the norms that a float32 product sums over
_FLIPS = 0.01  # codes that rounding may put on the other side of a threshold
_APART = 0.1  # by which a transposed reading must fit better
_LENGTH = 1e-3


class Reference(NamedTuple):
    """The library's own computation in NumPy, from the arrays as they lie in the file.

    Attributes:
        encode: [batch, d_model] -> [batch, latent], float64.
        decode: [batch, latent] -> [batch, d_model], float64.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]


def passed(
    where: Any,
    dictionary: Dictionary,
    params: Any,
    reference: Reference,
    x: Float[Array | np.ndarray, "batch d_model"] | None = None,
) -> tuple[Dictionary, Any]:
    """The pair as it came, after all tests.

    Args:
        where: the file, for messages.
        dictionary, params: as read.
        reference: what the file's own library would compute.
        x: samples of the kind that it was trained on, or None.

    Raises:
        ValueError: a test failed; the sentence says which and what to look for.
    """
    W_enc, W_dec, b_dec = (
        np.asarray(getattr(params, name), float) for name in ("W_enc", "W_dec", "b_dec")
    )
    require_orientation(where, W_enc, W_dec)
    probes = _probes(W_enc, b_dec)
    with jax.default_matmul_precision("highest"):
        _require_codes(where, dictionary, params, reference, probes)
        _require_decoder(where, dictionary, params, reference, probes)
        if x is not None:
            require_reconstruction(where, dictionary, params, jnp.asarray(x))
    return dictionary, params


def require_orientation(
    where: Any,
    W_enc: Float[np.ndarray, "d_model latent"],
    W_dec: Float[np.ndarray, "latent d_model"],
) -> None:
    """Raises ValueError where square matrices fit each other only when one is transposed.

    The fit is the mean cosine of encoder column i and decoder row i. Of unrelated
    directions it deviates from 0 by about 1 / d_model; the transposed fit must exceed the
    one as read by 0.1 and by six such deviations.
    """
    d_model, n_latents = W_enc.shape
    if d_model != n_latents:
        return
    as_read, turned = fit(W_enc, W_dec), fit(W_enc, W_dec.T)
    if turned - as_read > max(_APART, 6 / d_model):
        raise ValueError(
            f"encoder columns and decoder rows in {where} have a mean cosine of "
            f"{as_read:.2f} as read and of {turned:.2f} with one matrix transposed, "
            "expected the larger as read; one of the two was written in the other "
            "orientation"
        )
    rows, columns = (np.linalg.norm(W_dec, axis=axis) for axis in (1, 0))
    if np.abs(columns - 1).max() < _LENGTH < 10 * _LENGTH < np.abs(rows - 1).max():
        raise ValueError(
            f"the columns of W_dec in {where} have length 1 and its rows have not, "
            "expected it the other way round; both matrices were written in the other "
            "orientation"
        )


def fit(
    W_enc: Float[np.ndarray, "d_model latent"], W_dec: Float[np.ndarray, "latent d_model"]
) -> float:
    """The mean cosine of encoder column i and decoder row i; a row of zeros counts 0."""
    lengths = np.linalg.norm(W_enc, axis=0) * np.linalg.norm(W_dec, axis=1)
    along = np.sum(W_enc.T * W_dec, axis=1)
    return float(np.mean(ratio(along, lengths)))


def require_reconstruction(
    where: Any, dictionary: Dictionary, params: Any, x: Float[Array, "batch d_model"]
) -> None:
    """Raises ValueError unless x_hat is nearer to the samples than their mean is."""
    x_hat = np.asarray(dictionary.decode(params, dictionary.encode(params, x)), float)
    given = np.asarray(x, float)
    left = np.square(given - x_hat).sum() / np.square(given - given.mean(axis=0)).sum()
    if not left < 1:
        raise ValueError(
            f"the dictionary in {where} leaves {left:.2f} of the variance of the samples "
            "unexplained, expected less than 1; they are not of its kind or scale, or a "
            "bias, an orientation or a setting in the file is not what it says"
        )


def _probes(W_enc: np.ndarray, b_dec: np.ndarray) -> np.ndarray:
    """Samples at which latents fire: sums of three encoder columns, from weak to strong."""
    rng = np.random.default_rng(0)
    length = np.linalg.norm(W_enc, axis=0)
    columns = (W_enc / np.where(length > 0, length, 1)).T
    chosen = rng.integers(len(columns), size=(_PROBES, 3))
    strength = np.geomspace(0.1, 100, _PROBES)[:, None]
    noise = rng.normal(size=(_PROBES, len(b_dec))) / np.sqrt(len(b_dec))
    return (b_dec + strength * (columns[chosen].sum(1) + 0.3 * noise)).astype(np.float32)


def _require_codes(where, dictionary, params, reference: Reference, x) -> None:
    """The same codes, but for those that rounding puts across a threshold."""
    z = np.asarray(dictionary.encode(params, jnp.asarray(x)), float)
    expected = reference.encode(np.asarray(x, float))
    scale = np.linalg.norm(x, axis=1) + np.linalg.norm(params.b_dec)
    close = _CLOSE * (1 + scale[:, None] * np.linalg.norm(params.W_enc, axis=0))
    close = close * np.maximum(1, np.exp(np.asarray(getattr(params, "r_mag", 0))))
    off = np.abs(z - expected) > close
    both = (z != 0) & (expected != 0)
    if (off & both).any() or off.mean() > _FLIPS:
        raise ValueError(
            f"the codes of {where} are off by up to {np.abs(z - expected).max():.2g} from "
            "an independent form of the same computation, expected rounding; this is a "
            "fault of the reader, or the file has numbers beyond float32"
        )


def _require_decoder(where, dictionary, params, reference: Reference, x) -> None:
    z = np.maximum(reference.encode(np.asarray(x, float)), 0)
    x_hat = np.asarray(dictionary.decode(params, jnp.asarray(z, jnp.float32)), float)
    expected = reference.decode(z)
    scale = np.linalg.norm(z, axis=1) * np.linalg.norm(params.W_dec)
    scale = scale + np.linalg.norm(params.b_dec)
    off = np.abs(x_hat - expected) > _CLOSE * (1 + scale[:, None])
    if off.any():
        raise ValueError(
            f"reconstructions of {where} are off by up to "
            f"{np.abs(x_hat - expected).max():.2g} from an independent form of the same "
            "computation, expected rounding; this is a fault of the reader, or the file "
            "has numbers beyond float32"
        )
