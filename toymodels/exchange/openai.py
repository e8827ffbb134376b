"""openai's sparse_autoencoder: one `.pt` file, a state_dict that names its activation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, torch_file, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

_NAMES = ("pre_bias", "latent_bias", "encoder.weight", "decoder.weight")
_IGNORED = (
    *("activation", "activation_state_dict", "stats_last_nonzero"),
    *("latents_activation_frequency", "latents_mean_square"),
)


def read(
    path: Path | str,
    x: Float[Array | np.ndarray, "batch d_model"] | None = None,
    normalised: bool = False,
) -> tuple[Dictionary, Any]:
    """The dictionary in a file that openai's `Autoencoder.state_dict` went into.

    As there, "TopK" means that inputs are layer-normalised, "ReLU" that they are not. A
    TopK with another function after the selection than ReLU is refused.

    Args:
        path: the `.pt` file.
        x: samples of the kind it was trained on (normalised, where it takes such), for the
            last test of `exchange.self_test`.
        normalised: must be given for "TopK": the dictionary takes and reconstructs
            `weights.layer_norm(x)`.

    Raises:
        ValueError: the file is damaged, of another kind, calls for code, or fails a test.
    """
    path = Path(path)
    arrays = torch_file.read(path)
    files.require_names(path, arrays, _NAMES, _IGNORED)
    activation = arrays.get("activation", "ReLU")
    own = arrays.get("activation_state_dict", {})
    is_known = isinstance(activation, str) and activation in ("ReLU", "TopK")
    after = own.get("postact_fn", "ReLU") if isinstance(own, Mapping) else own
    if not (is_known and isinstance(after, str) and after == "ReLU"):
        raise ValueError(
            f"the activation in {path} is {activation} with {after} after it, expected "
            "ReLU, or TopK with ReLU after it; no dictionary here computes another"
        )
    weights.require_normalised(path, activation == "TopK", normalised)
    if activation == "TopK":
        rule = weights.Largest(files.whole(path, "k", files.setting(path, own, "k")))
    else:
        rule = weights.Relu()
    b_dec, b_enc, encoder, decoder = (arrays[name] for name in _NAMES)
    found = weights.checked(path, Weights(encoder.T, b_enc, decoder.T, b_dec, rule))
    dictionary, params = weights.to_ours(found)
    return self_test.passed(path, dictionary, params, _reference(arrays, rule), x)


def _reference(arrays: files.Arrays, rule: weights.Rule) -> Reference:
    """openai's own forward pass on inputs that are normalised already."""
    pre_bias, latent_bias, encoder, decoder = (
        np.asarray(arrays[name], np.float64) for name in _NAMES
    )

    def encode(x):
        before = np.einsum("ld,bd->bl", encoder, x - pre_bias) + latent_bias
        if isinstance(rule, weights.Largest):
            last = np.sort(before, axis=1)[:, -rule.k, None]
            before = np.where(before >= last, before, 0)
        return np.maximum(before, 0)

    return Reference(encode, lambda z: np.einsum("dl,bl->bd", decoder, z) + pre_bias)
