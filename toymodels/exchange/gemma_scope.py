"""Gemma Scope: one `params.npz` of a JumpReLU dictionary without a bias before it."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

_NAMES = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")


def read(
    path: Path | str, x: Float[Array | np.ndarray, "batch d_model"] | None = None
) -> tuple[Dictionary, Any]:
    """The JumpReLU dictionary in a `params.npz`, and its parameters.

    The encoder there sees x itself; b_dec W_enc is folded into b_enc. Older files spell
    the matrices W_enc and W_dec. Of an "embedding" dictionary SAELens divides W_enc and
    multiplies W_dec by sqrt(d_model); that is not done here, scale the inputs instead.

    Args:
        path: the npz file.
        x: samples of the kind it was trained on, for the last test of
            `exchange.self_test`.

    Raises:
        ValueError: the file is damaged, of another kind, or fails a test.
    """
    path = Path(path)
    arrays = {
        "w_" + name[2:] if name.startswith("W_") else name: array
        for name, array in files.read_npz(path).items()
    }
    files.require_names(path, arrays, _NAMES)
    W_enc, b_enc, W_dec, b_dec, threshold = (arrays[name] for name in _NAMES)
    rule = weights.Jump(threshold)
    found = weights.checked(path, Weights(W_enc, b_enc, W_dec, b_dec, rule))
    dictionary, params = weights.to_ours(weights.with_pre_bias(found))
    return self_test.passed(path, dictionary, params, _reference(arrays), x)


def _reference(arrays: files.Arrays) -> Reference:
    """The forward pass of the Gemma Scope tutorial."""
    w_enc, b_enc, w_dec, b_dec, threshold = (
        np.asarray(arrays[name], np.float64) for name in _NAMES
    )

    def encode(x):
        before = x @ w_enc + b_enc
        return (before > threshold) * np.maximum(before, 0)

    return Reference(encode, lambda z: z @ w_dec + b_dec)
