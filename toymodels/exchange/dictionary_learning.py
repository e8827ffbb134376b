"""dictionary_learning: a folder of `ae.pt` and `config.json`.

Read and written are AutoEncoder, AutoEncoderNew (read), GatedAutoEncoder,
AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE and JumpReluAutoEncoder. The classes
made of `nn.Linear` keep their matrices transposed.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from toymodels import files
from toymodels.exchange import self_test, torch_file, weights
from toymodels.exchange.self_test import Reference
from toymodels.exchange.weights import Weights
from toymodels.sae import Dictionary

SETTINGS, ARRAYS = "config.json", "ae.pt"

_LINEAR = ("encoder.weight", "encoder.bias", "decoder.weight")
_PLAIN = ("W_enc", "b_enc", "W_dec", "b_dec")
# What each class holds, and what each of our names is called in it.
_NAMES = {
    "AutoEncoder": (*_LINEAR, "bias"),
    "AutoEncoderNew": (*_LINEAR, "decoder.bias"),
    "AutoEncoderTopK": (*_LINEAR, "b_dec", "k"),
    "BatchTopKSAE": (*_LINEAR, "b_dec", "k", "threshold"),
    "GatedAutoEncoder": (
        *("encoder.weight", "decoder.weight", "decoder_bias"),
        *("r_mag", "gate_bias", "mag_bias"),
    ),
    "JumpReluAutoEncoder": (*_PLAIN, "threshold"),
    "MatryoshkaBatchTopKSAE": (*_PLAIN, "k", "threshold", "group_sizes"),
}
_WITHOUT_PRE_BIAS = ("AutoEncoderNew", "JumpReluAutoEncoder")


def read(
    folder: Path | str, x: Float[Array | np.ndarray, "batch d_model"] | None = None
) -> tuple[Dictionary, Any]:
    """The dictionary in a folder that dictionary_learning's trainers wrote.

    As in its own `from_pretrained`, an AutoEncoder's decoder rows are brought to length 1
    and its codes grow by their old length. AutoEncoderNew and JumpReluAutoEncoder encode x
    without subtracting b_dec, which is folded into b_enc.

    Args:
        folder: with `ae.pt` and `config.json`.
        x: samples of the kind it was trained on: they set the threshold of a BatchTopK
            that has none yet (-1, a run of less than `threshold_start_step` steps), and
            serve the last test of `exchange.self_test`.

    Raises:
        ValueError: the files are damaged, of another kind, call for code, or fail a test.
    """
    folder = Path(folder)
    settings = files.read_json(folder / SETTINGS)
    kind = files.choice(folder / SETTINGS, settings, _NAMES, "trainer", "dict_class")
    arrays = torch_file.read(folder / ARRAYS)
    ignored = ("threshold",) if kind == "AutoEncoderTopK" else ()
    files.require_names(folder / ARRAYS, arrays, _NAMES[kind], ignored)
    found = weights.checked(folder, _weights(folder, kind, arrays))
    if kind in _WITHOUT_PRE_BIAS:
        found = weights.with_pre_bias(found)
    scale = np.ones(len(found.W_dec))
    if kind == "AutoEncoder":
        length = np.linalg.norm(np.asarray(found.W_dec, np.float64), axis=1)
        scale = np.where(length > 0, length, 1)
        found = weights.with_unit_rows(found)
    dictionary, params = weights.to_ours(found, x)
    threshold = getattr(params, "threshold", 0)
    reference = _reference(kind, arrays, np.asarray(threshold, np.float64), scale)
    return self_test.passed(folder, dictionary, params, reference, x)


def _weights(folder: Path, kind: str, arrays: files.Arrays) -> Weights:
    """In this library's orientation, with the biases as they are."""
    linear = "encoder.weight" in arrays
    W_enc = arrays["encoder.weight"].T if linear else arrays["W_enc"]
    W_dec = arrays["decoder.weight"].T if linear else arrays["W_dec"]
    b_enc = next(
        arrays[name] for name in ("encoder.bias", "b_enc", "mag_bias") if name in arrays
    )
    b_dec = arrays[_bias_of(kind)]
    match kind:
        case "AutoEncoderTopK":
            rule = weights.Largest(files.whole(folder, "k", arrays["k"]))
        case "GatedAutoEncoder":
            rule = weights.Gate(arrays["r_mag"], arrays["gate_bias"])
        case "JumpReluAutoEncoder":
            rule = weights.Jump(arrays["threshold"])
        case "BatchTopKSAE" | "MatryoshkaBatchTopKSAE":
            threshold = files.number(folder, "threshold", arrays["threshold"])
            sizes = arrays.get("group_sizes", np.zeros(0, int))
            sizes = files.widths(folder, "group_sizes", sizes)
            rule = weights.OneThreshold(
                files.number(folder, "k", arrays["k"]),
                threshold if threshold >= 0 else None,
                tuple(accumulate(sizes)),
            )
        case _:
            rule = weights.Relu()
    return Weights(W_enc, b_enc, W_dec, b_dec, rule)


def _bias_of(kind: str) -> str:
    names = ("bias", "decoder.bias", "decoder_bias", "b_dec")
    return next(name for name in names if name in _NAMES[kind])


def _reference(
    kind: str, arrays: files.Arrays, threshold: np.ndarray, scale: np.ndarray
) -> Reference:
    """dictionary_learning's own forward pass, in its own layout.

    `threshold` is the one read or set by calibration; `scale` the lengths by which
    `from_pretrained` divides an AutoEncoder's decoder columns.
    """
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    bias = a[_bias_of(kind)]
    linear = "encoder.weight" in a

    def into(x):
        return np.einsum("ld,bd->bl", a["encoder.weight"], x) if linear else x @ a["W_enc"]

    def encode(x):
        seen = into(x if kind in _WITHOUT_PRE_BIAS else x - bias)
        if kind == "GatedAutoEncoder":
            magnitude = np.exp(a["r_mag"]) * seen + a["mag_bias"]
            return (seen + a["gate_bias"] > 0) * np.maximum(magnitude, 0)
        on = np.maximum(seen + a["encoder.bias" if linear else "b_enc"], 0)
        if kind == "AutoEncoderTopK":
            last = np.sort(on, axis=1)[:, -int(a["k"]), None]
            return np.where(on >= last, on, 0)
        if "threshold" in _NAMES[kind]:
            return on * (on > threshold)
        return on * scale

    def decode(z):
        z = z / scale
        if linear:
            return np.einsum("dl,bl->bd", a["decoder.weight"], z) + bias
        return z @ a["W_dec"] + bias

    return Reference(encode, decode)


def write(
    folder: Path | str,
    dictionary: Dictionary,
    params: Any,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes a dictionary so that `dictionary_learning.utils.load_dictionary` reads it.

    That library brings the decoder rows of its AutoEncoder to length 1 as it loads them.
    Of a ReLU dictionary with rows of other lengths it therefore gives the same
    reconstructions and codes that are multiplied by the lengths. All other kinds keep both.

    Args:
        folder: made where it is not there.
        dictionary, params: ReLU, TopK, JumpReLU, Gated, BatchTopK (with a whole k) or
            Matryoshka.
        settings: what `config.json` should have besides, as "trainer" and "buffer".

    Raises:
        ValueError: the library has no class for it, or a number is not finite.
    """
    found = weights.of_ours(dictionary, params)
    W_enc, b_enc, W_dec, b_dec, rule = found
    linear = {"encoder.weight": W_enc.T, "encoder.bias": b_enc, "decoder.weight": W_dec.T}
    plain = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    match rule:
        case weights.Relu():
            kind, arrays = "AutoEncoder", linear | {"bias": b_dec}
        case weights.Largest(k):
            kind = "AutoEncoderTopK"
            arrays = linear | {"b_dec": b_dec} | _selection(k, -1.0)
        case weights.Jump(threshold):
            # Its class encodes x itself.
            kind = "JumpReluAutoEncoder"
            shifted = {"b_enc": b_enc - b_dec @ W_enc, "threshold": threshold}
            arrays = plain | shifted
        case weights.Gate(r_mag, b_gate):
            kind = "GatedAutoEncoder"
            linear.pop("encoder.bias")
            biases = {"decoder_bias": b_dec, "gate_bias": b_gate, "mag_bias": b_enc}
            arrays = linear | biases | {"r_mag": r_mag}
        case weights.OneThreshold(k, threshold, ()):
            kind = "BatchTopKSAE"
            arrays = linear | {"b_dec": b_dec} | _selection(k, threshold)
        case weights.OneThreshold(k, threshold, prefixes):
            kind = "MatryoshkaBatchTopKSAE"
            sizes = [b - a for a, b in pairwise((0, *prefixes))]
            arrays = plain | _selection(k, threshold) | {"group_sizes": np.array(sizes)}
    trainer = {
        "dict_class": kind,
        "activation_dim": len(b_dec),
        "dict_size": len(b_enc),
    }
    if "k" in arrays:
        trainer["k"] = int(arrays["k"])
    own = dict(settings or {})
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"buffer": {}, **own, "trainer": own.get("trainer", {}) | trainer}
    files.write_json(folder / SETTINGS, whole)
    torch_file.write(folder / ARRAYS, arrays)


def _selection(k: float, threshold: float | None) -> files.Arrays:
    if k != int(k):
        raise ValueError(
            f"k is {k:g}, expected a whole number, which dictionary_learning asserts; "
            "write it for SAELens, or train with a whole k"
        )
    return {"k": np.array(int(k), np.int32), "threshold": np.array(threshold, np.float32)}
