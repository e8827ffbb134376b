"""sparsify (EleutherAI): a folder of `cfg.json` and `sae.safetensors`.

Its encoder is an `nn.Linear` [latent, d_model] and its W_dec [latent, d_model] has this
library's orientation. (SAELens 6.54.12 transposes that W_dec when it imports it.)
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

SETTINGS, ARRAYS = "cfg.json", "sae.safetensors"

_NAMES = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")


def read(
    folder: Path | str, x: Float[Array | np.ndarray, "batch d_model"] | None = None
) -> tuple[Dictionary, Any]:
    """The TopK dictionary in a folder that sparsify wrote, and its parameters.

    Transcoders, skip connections and "groupmax" are refused: this reader is for plain
    autoencoders.

    Args:
        folder: with `cfg.json` and `sae.safetensors`.
        x: samples of the kind it was trained on, for the last test of
            `exchange.self_test`.

    Raises:
        ValueError: the files are damaged, of another kind, or fail a test.
    """
    folder = Path(folder)
    settings = files.read_json(folder / SETTINGS)
    k = files.setting(folder / SETTINGS, settings, "k")
    k = files.whole(folder / SETTINGS, "k", k)
    activation = settings.get("activation", "topk")
    for name in ("transcode", "skip_connection", "embed_skip", "gram_lookup", "signed"):
        if settings.get(name):
            raise ValueError(
                f"{folder / SETTINGS} has {name}, expected a plain autoencoder; what it "
                "reconstructs is not a function of its codes on x alone"
            )
    if activation != "topk":
        raise ValueError(
            f"the activation in {folder / SETTINGS} is {activation!r}, expected 'topk'; no "
            "dictionary here computes another"
        )
    arrays = files.read_safetensors(folder / ARRAYS)
    files.require_names(folder / ARRAYS, arrays, _NAMES)
    encoder, b_enc, W_dec, b_dec = (arrays[name] for name in _NAMES)
    rule = weights.Largest(k)
    found = weights.checked(folder, Weights(encoder.T, b_enc, W_dec, b_dec, rule))
    dictionary, params = weights.to_ours(found)
    return self_test.passed(folder, dictionary, params, _reference(arrays, k), x)


def _reference(arrays: files.Arrays, k: int) -> Reference:
    """sparsify's own forward pass: values and indices, gathered rows."""
    encoder, b_enc, W_dec, b_dec = (np.asarray(arrays[n], np.float64) for n in _NAMES)

    def encode(x):
        before = np.maximum(np.einsum("ld,bd->bl", encoder, x - b_dec) + b_enc, 0)
        index = np.argsort(-before, axis=1)[:, :k]
        z = np.zeros_like(before)
        np.put_along_axis(z, index, np.take_along_axis(before, index, 1), 1)
        return z

    return Reference(encode, lambda z: np.einsum("bl,ld->bd", z, W_dec) + b_dec)
