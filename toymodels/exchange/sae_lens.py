"""SAELens 6: a folder of `cfg.json` and `sae_weights.safetensors`.

Read are "standard", "topk", "jumprelu", "gated" and, from training checkpoints,
"batchtopk" and "matryoshka_batchtopk", which SAELens exports as "jumprelu". Its matrices
have this library's orientation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

SETTINGS, ARRAYS = "cfg.json", "sae_weights.safetensors"

_AFFINE = ("W_enc", "b_enc", "W_dec", "b_dec")
_NAMES = {
    "standard": _AFFINE,
    "topk": _AFFINE,
    "jumprelu": (*_AFFINE, "threshold"),
    "batchtopk": (*_AFFINE, "topk_threshold"),
    "matryoshka_batchtopk": (*_AFFINE, "topk_threshold"),
    "gated": ("W_enc", "b_gate", "b_mag", "r_mag", "W_dec", "b_dec"),
}


def read(
    folder: Path | str,
    x: Float[Array | np.ndarray, "batch d_model"] | None = None,
    normalised: bool = False,
) -> tuple[Dictionary, Any]:
    """The dictionary in a folder that SAELens wrote, and its parameters.

    `apply_b_dec_to_input=False` is folded into b_enc, `rescale_acts_by_decoder_norm` into
    the encoder. Activations that SAELens normalises by a factor it has not folded yet are
    refused, and so are transcoders, whose input is not what they reconstruct.

    Args:
        folder: with `cfg.json` and `sae_weights.safetensors`.
        x: samples of the kind it was trained on, for the last test of
            `exchange.self_test`.
        normalised: must be given where `normalize_activations` is "layer_norm": the
            dictionary then takes and reconstructs `weights.layer_norm(x)`.

    Raises:
        ValueError: the files are damaged, of another kind, or fail a test.
    """
    folder = Path(folder)
    settings = files.read_json(folder / SETTINGS)
    architecture = files.choice(folder / SETTINGS, settings, _NAMES, "architecture")
    scaling = settings.get("normalize_activations", "none")
    if scaling not in ("none", "layer_norm"):
        raise ValueError(
            f"normalize_activations in {folder / SETTINGS} is {scaling!r}, expected 'none' "
            "or 'layer_norm'; fold the factor into the weights with SAELens first"
        )
    weights.require_normalised(folder, scaling == "layer_norm", normalised)
    arrays = files.read_safetensors(folder / ARRAYS)
    files.require_names(folder / ARRAYS, arrays, _NAMES[architecture])
    found = _weights(folder, architecture, arrays, settings)
    dictionary, params = weights.to_ours(found, x)
    reference = _reference(architecture, arrays, settings)
    return self_test.passed(folder, dictionary, params, reference, x)


def _weights(
    folder: Path, architecture: str, arrays: files.Arrays, settings: Mapping[str, Any]
) -> Weights:
    affine: dict[str, Any] = {name: arrays.get(name) for name in _AFFINE}
    if architecture == "gated":
        affine["b_enc"] = arrays["b_mag"]
        rule = weights.Gate(arrays["r_mag"], arrays["b_gate"])
    elif architecture == "topk":
        rule = weights.Largest(_whole_k(folder, settings))
    elif architecture == "jumprelu":
        rule = weights.Jump(arrays["threshold"])
    elif architecture == "standard":
        rule = weights.Relu()
    else:
        named = settings.get("matryoshka_widths", ())
        prefixes = tuple(files.widths(folder / SETTINGS, "matryoshka_widths", named))
        if prefixes and prefixes[-1] < np.size(arrays["b_enc"]):
            prefixes = (*prefixes, np.size(arrays["b_enc"]))
        threshold = files.number(folder, "topk_threshold", arrays["topk_threshold"])
        rule = weights.OneThreshold(_k(folder, settings), threshold, prefixes)
    found = weights.checked(folder, Weights(**affine, rule=rule))
    if not files.flag(folder / SETTINGS, settings, "apply_b_dec_to_input", True):
        found = weights.with_pre_bias(found)
    if files.flag(folder / SETTINGS, settings, "rescale_acts_by_decoder_norm", False):
        found = weights.with_unit_rows(found)
    return found


def _k(folder: Path, settings: Mapping[str, Any]) -> float:
    path = folder / SETTINGS
    return files.number(path, "k", files.setting(path, settings, "k"))


def _whole_k(folder: Path, settings: Mapping[str, Any]) -> int:
    path = folder / SETTINGS
    return files.whole(path, "k", files.setting(path, settings, "k"))


def _reference(architecture: str, arrays: files.Arrays, settings: Mapping) -> Reference:
    """SAELens' own forward pass, unfolded."""
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    bias = a["b_dec"] * settings.get("apply_b_dec_to_input", True)
    rescaled = settings.get("rescale_acts_by_decoder_norm", False)
    length = np.linalg.norm(a["W_dec"], axis=1) if rescaled else np.ones(len(a["W_dec"]))

    def encode(x):
        if architecture == "gated":
            open_ = (x - bias) @ a["W_enc"] + a["b_gate"] > 0
            magnitude = (x - bias) @ (a["W_enc"] * np.exp(a["r_mag"])) + a["b_mag"]
            return open_ * np.maximum(magnitude, 0)
        hidden = ((x - bias) @ a["W_enc"] + a["b_enc"]) * length
        if architecture == "topk":
            k = files.whole(SETTINGS, "k", settings["k"])
            last = np.sort(hidden, axis=1)[:, -k, None]
            return np.maximum(np.where(hidden >= last, hidden, 0), 0)
        threshold = a.get("threshold", a.get("topk_threshold", 0))
        return np.maximum(hidden, 0) * (hidden > threshold)

    return Reference(encode, lambda z: (z / length) @ a["W_dec"] + a["b_dec"])


def write(
    folder: Path | str,
    dictionary: Dictionary,
    params: Any,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes a dictionary so that `sae_lens.SAE.load_from_disk(folder)` reads it.

    BatchTopK and Matryoshka become "jumprelu" with their threshold in every latent, as
    SAELens exports its own.

    Args:
        folder: made where it is not there.
        dictionary, params: ReLU, TopK, JumpReLU, Gated, BatchTopK or Matryoshka.
        metadata: of SAELens' `SAEMetadata` (model_name, hook_name, ...).

    Raises:
        ValueError: SAELens has no class for it, or a number is not finite.
    """
    found = weights.of_ours(dictionary, params)
    settings: dict[str, Any] = {"d_in": len(found.b_dec), "d_sae": len(found.b_enc)}
    arrays = {name: getattr(found, name) for name in _AFFINE}
    match found.rule:
        case weights.Relu():
            settings["architecture"] = "standard"
        case weights.Largest(k):
            settings |= {"architecture": "topk", "k": k}
            settings["rescale_acts_by_decoder_norm"] = False
        case weights.Jump(threshold):
            settings["architecture"] = "jumprelu"
            arrays["threshold"] = threshold
        case weights.OneThreshold(_, threshold):
            settings["architecture"] = "jumprelu"
            arrays["threshold"] = np.full_like(found.b_enc, threshold)
        case weights.Gate(r_mag, b_gate):
            settings["architecture"] = "gated"
            arrays |= {"b_mag": arrays.pop("b_enc"), "b_gate": b_gate, "r_mag": r_mag}
    settings |= {
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        # Without a version of 6 or more SAELens takes the settings for older ones.
        "metadata": {"sae_lens_version": "6.0.0", **(metadata or {})},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / SETTINGS, settings)
    files.write_safetensors(folder / ARRAYS, arrays)
