"""bartbussmann's BatchTopK and matryoshka_sae: a folder of `sae.pt` and `config.json`.

The matrices have this library's orientation. Its TopK and BatchTopK classes carry a b_enc
that they do not use (unless `use_encoder_bias` is set), and its JumpReLU does not subtract
b_dec before it encodes.
"""

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, torch_file, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

SETTINGS, ARRAYS = "config.json", "sae.pt"

_NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")
_LOG_THRESHOLD = "jumprelu.log_threshold"
_KINDS = {
    "vanilla": "vanilla",
    "topk": "topk",
    "batchtopk": "batchtopk",
    "batch-topk": "batchtopk",
    "global-matryoshka-topk": "matryoshka",
    "jumprelu": "jumprelu",
}


def read(
    folder: Path | str,
    x: Float[Array | np.ndarray, "batch d_model"] | None = None,
    normalised: bool = False,
) -> tuple[Dictionary, Any]:
    """The dictionary in a checkpoint folder of these two repositories.

    Args:
        folder: with `sae.pt` and `config.json`.
        x: samples of the kind it was trained on (normalised, where it takes such): they
            set the threshold of a BatchTopK without one, as the first of the two
            repositories saves it, and serve the last test of `exchange.self_test`.
        normalised: must be given where `input_unit_norm` is set: the dictionary then takes
            and reconstructs `weights.layer_norm(x)`.

    Raises:
        ValueError: the files are damaged, of another kind, call for code, or fail a test.
    """
    folder = Path(folder)
    settings = files.read_json(folder / SETTINGS)
    named = files.choice(folder / SETTINGS, settings, _KINDS, "sae_type")
    if settings.get("tied_weights"):
        raise ValueError(
            f"{folder / SETTINGS} describes {named!r} with tied_weights = "
            f"{settings['tied_weights']}, expected an untied one; this reader knows no "
            "other"
        )
    if settings.get("activation", "relu") != "relu":
        raise ValueError(
            f"the activation in {folder / SETTINGS} is {settings['activation']!r}, "
            "expected 'relu'; no dictionary here computes another"
        )
    for name in ("input_unit_norm", "use_encoder_bias"):
        files.flag(folder / SETTINGS, settings, name, False)
    weights.require_normalised(folder, settings.get("input_unit_norm", False), normalised)
    kind = _KINDS[named]
    arrays = torch_file.read(folder / ARRAYS)
    needed = (*_NAMES, _LOG_THRESHOLD) if kind == "jumprelu" else _NAMES
    files.require_names(folder / ARRAYS, arrays, needed, ignored=("threshold",))
    found = weights.checked(folder, _weights(folder, kind, arrays, settings))
    if kind == "jumprelu":
        found = weights.with_pre_bias(found)
    dictionary, params = weights.to_ours(found, x)
    reference = _reference(kind, arrays, settings, getattr(params, "threshold", 0))
    return self_test.passed(folder, dictionary, params, reference, x)


def _uses_b_enc(kind: str, settings: Mapping[str, Any]) -> bool:
    return kind in ("vanilla", "jumprelu") or bool(settings.get("use_encoder_bias"))


def _weights(
    folder: Path, kind: str, arrays: files.Arrays, settings: Mapping[str, Any]
) -> Weights:
    affine = {name: arrays[name] for name in _NAMES}
    if not _uses_b_enc(kind, settings):
        affine["b_enc"] = np.zeros_like(arrays["b_enc"])
    if kind == "vanilla":
        return Weights(**affine, rule=weights.Relu())
    if kind == "jumprelu":
        return Weights(**affine, rule=weights.Jump(np.exp(arrays[_LOG_THRESHOLD])))
    k = files.setting(folder / SETTINGS, settings, "top_k")
    k = files.number(folder / SETTINGS, "top_k", k)
    if kind == "topk":
        rule = weights.Largest(files.whole(folder / SETTINGS, "top_k", k))
        return Weights(**affine, rule=rule)
    threshold = arrays.get("threshold")
    if threshold is not None:
        threshold = files.number(folder, "threshold", threshold)
    sizes = _sizes(folder, settings) if kind == "matryoshka" else ()
    rule = weights.OneThreshold(k, threshold, tuple(accumulate(sizes)))
    return Weights(**affine, rule=rule)


def _sizes(folder: Path, settings: Mapping[str, Any]) -> list[int]:
    """The widths of the groups; `config.json` has lists as text, "[16, 48]"."""
    sizes = files.setting(folder / SETTINGS, settings, "group_sizes")
    if isinstance(sizes, str):
        numbers = sizes.strip("[]()").split(",")
        # What is no number stays text, which is refused below.
        sizes = [int(one) if one.strip().isdecimal() else one for one in numbers]
    return files.widths(folder / SETTINGS, "group_sizes", sizes)


def _reference(
    kind: str, arrays: files.Arrays, settings: Mapping[str, Any], threshold: Any
) -> Reference:
    """Their own forward pass, on inputs that are normalised already.

    `threshold` is the one read or set by calibration.
    """
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    bias = np.zeros_like(a["b_dec"]) if kind == "jumprelu" else a["b_dec"]
    b_enc = a["b_enc"] if _uses_b_enc(kind, settings) else 0

    def encode(x):
        on = np.maximum((x - bias) @ a["W_enc"] + b_enc, 0)
        if kind == "topk":
            k = files.whole(SETTINGS, "top_k", settings["top_k"])
            last = np.sort(on, axis=1)[:, -k, None]
            return np.where(on >= last, on, 0)
        if kind == "jumprelu":
            return on * (on > np.exp(a[_LOG_THRESHOLD]))
        return on * (on > np.asarray(threshold, np.float64))

    return Reference(encode, lambda z: z @ a["W_dec"] + a["b_dec"])
