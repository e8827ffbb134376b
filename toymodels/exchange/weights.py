"""Weights in one orientation, with the rule that makes codes of them.

z = rule((x - b_dec) W_enc + b_enc) and x_hat = z W_dec + b_dec. Readers make `Weights` of
a file and writers a file of `Weights`; `to_ours` and `of_ours` pass between them and the
dictionaries of `toymodels.sae`.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synthetic.validation import require_finite, require_no_fraction
from toymodels.sae import Dictionary, Params, ReLU, TopK
from toymodels.sae.april import ReLUApril
from toymodels.sae.around import frozen
from toymodels.sae.around.controller import Controlled
from toymodels.sae.around.p_annealing import PAnnealing
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.gated import Gated, GatedParams
from toymodels.sae.jumprelu import JumpReLU, JumpReLUParams
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.sae.threshold import ThresholdParams, calibrate
from toymodels.sae.tied import Tied, untied

_EPSILON = 1e-5
# Variants that change how another one is trained, and nothing of what it computes.
_AROUND = (
    *(frozen.FrozenDecoder, frozen.FrozenEncoder, frozen.SoftFrozenDecoder),
    *(Controlled, PAnnealing),
)


class Relu(NamedTuple):
    """relu(z_pre)."""


class Largest(NamedTuple):
    """The k largest entries of relu(z_pre) in each row (TopK).

    Entries that tie with the k-th are kept here; libraries that use `torch.topk` keep k.
    """

    k: int


class Jump(NamedTuple):
    """relu(z_pre) where z_pre > threshold [latent] (JumpReLU)."""

    threshold: np.ndarray


class OneThreshold(NamedTuple):
    """relu(z_pre) where it exceeds one threshold, made for a mean L0 of k (BatchTopK).

    Attributes:
        k: latents per sample, on average.
        threshold: None where the file has none yet.
        prefixes: the widths of a matryoshka; () without.
    """

    k: float
    threshold: float | None
    prefixes: tuple[int, ...] = ()


class Gate(NamedTuple):
    """relu((x - b_dec) (W_enc * exp(r_mag)) + b_enc) where the gate is open (Gated).

    The gate is (x - b_dec) W_enc + b_gate > 0; b_enc is the bias of the magnitudes.
    """

    r_mag: np.ndarray
    b_gate: np.ndarray


Rule = Relu | Largest | Jump | OneThreshold | Gate


class Weights(NamedTuple):
    """Attributes:
    W_enc: [d_model, latent].
    b_enc: [latent].
    W_dec: [latent, d_model].
    b_dec: [d_model].
    rule: what makes codes of pre-activations.
    """

    W_enc: np.ndarray
    b_enc: np.ndarray
    W_dec: np.ndarray
    b_dec: np.ndarray
    rule: Rule


def with_pre_bias(weights: Weights) -> Weights:
    """Weights of an encoder that sees x itself, for one that sees x - b_dec.

    x W + b = (x - b_dec) W + (b + b_dec W). For a `Gate` both biases change.
    """
    shift = weights.b_dec @ weights.W_enc
    rule = weights.rule
    if isinstance(rule, Gate):
        return weights._replace(
            b_enc=weights.b_enc + np.exp(rule.r_mag) * shift,
            rule=rule._replace(b_gate=rule.b_gate + shift),
        )
    return weights._replace(b_enc=weights.b_enc + shift)


def with_unit_rows(weights: Weights) -> Weights:
    """Decoder rows of length 1, their old length in the encoder.

    Reconstructions stay what they were under `Relu`, and codes grow by the old length.
    Under `Largest` this selects by z_pre * ||W_dec_i||, which SAELens calls
    `rescale_acts_by_decoder_norm`.
    """
    length = np.linalg.norm(weights.W_dec, axis=1)
    length = np.where(length > 0, length, 1)
    return weights._replace(
        W_enc=weights.W_enc * length,
        b_enc=weights.b_enc * length,
        W_dec=weights.W_dec / length[:, None],
    )


def checked(where: Any, weights: Weights) -> Weights:
    """The weights in float32.

    Raises:
        ValueError: shapes do not fit, or a number is not finite.
    """
    if np.ndim(weights.W_enc) != 2:
        raise ValueError(
            f"W_enc in {where} has shape {np.shape(weights.W_enc)}, expected a matrix; one "
            "dictionary at a time"
        )
    d_model, n_latents = np.shape(weights.W_enc)
    expected = {
        "W_enc": (d_model, n_latents),
        "b_enc": (n_latents,),
        "W_dec": (n_latents, d_model),
        "b_dec": (d_model,),
    }
    found = {name: getattr(weights, name) for name in expected}
    for name in ("threshold", "r_mag", "b_gate"):
        if isinstance(getattr(weights.rule, name, None), np.ndarray):
            found[name], expected[name] = getattr(weights.rule, name), (n_latents,)
    for name, array in found.items():
        if np.shape(array) != expected[name]:
            raise ValueError(
                f"{name} in {where} has shape {np.shape(array)}, expected "
                f"{expected[name]} beside W_enc {(d_model, n_latents)}; look for a matrix "
                "that is transposed or of another file"
            )
        require_finite(f"{name} in {where}", np.asarray(array, np.float32))
    as_float = {name: np.asarray(array, np.float32) for name, array in found.items()}
    own = {name: as_float.pop(name) for name in weights.rule._fields if name in as_float}
    return Weights(**as_float, rule=weights.rule._replace(**own))


def to_ours(
    weights: Weights, x: Float[Array | np.ndarray, "batch d_model"] | None = None
) -> tuple[Dictionary, Any]:
    """A dictionary of this library and its parameters.

    Args:
        weights: checked.
        x: samples that set a threshold which the file has not (`threshold.calibrate`).

    Raises:
        ValueError: there is no threshold and no `x`.
    """
    n_latents = weights.W_enc.shape[1]
    affine = Params(*map(jnp.asarray, weights[:4]))
    match weights.rule:
        case Relu():
            return ReLU(n_latents), affine
        case Largest(k):
            return TopK(n_latents, k=k), affine
        case Jump(threshold):
            # relu(z_pre) is 0 below 0, whatever a negative threshold lets through.
            threshold = jnp.asarray(np.maximum(threshold, 0))
            return JumpReLU(n_latents), JumpReLUParams(*affine, threshold)
        case Gate(r_mag, b_gate):
            W_enc, b_mag, W_dec, b_dec = affine
            gate = (jnp.asarray(r_mag), jnp.asarray(b_gate))
            return Gated(n_latents), GatedParams(W_enc, *gate, b_mag, W_dec, b_dec)
        case OneThreshold(k, threshold, prefixes):
            dictionary: Any = BatchTopK(n_latents, k=k)
            if prefixes:
                dictionary = Matryoshka(n_latents, prefixes, k=k)
            params = ThresholdParams(*affine, jnp.float32(threshold or 0))
            if threshold is not None:
                return dictionary, params
            if x is None:
                raise ValueError(
                    "the file has no threshold (its BatchTopK selected over batches "
                    "alone), expected one; give samples as x=, to set it where L0 is k"
                )
            return dictionary, calibrate(dictionary, params, jnp.asarray(x))


def of_ours(dictionary: Any, params: Any) -> Weights:
    """The weights of a dictionary of this library.

    Raises:
        ValueError: it is of a kind that `Rule` has no form for, or a stack of several; k is
            a fraction where it must be whole.
    """
    while isinstance(dictionary, _AROUND):
        dictionary = dictionary.inner
    if isinstance(dictionary, Tied):
        params = untied(params)
    numbers = {name: np.asarray(leaf) for name, leaf in params._asdict().items()}
    affine: dict[str, Any] = {
        name: numbers.get(name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    }
    k = _one_k(dictionary)
    match dictionary:
        case ReLU() | MatryoshkaReLU() | Tied():
            rule = Relu()
        case ReLUApril():
            left = (1 - np.asarray(dictionary.pre_bias)) * numbers["b_dec"]
            affine["b_enc"] = numbers["b_enc"] + left @ numbers["W_enc"]
            rule = Relu()
        case TopK():
            fix = "give the TopK that was trained, with the k that its training rounded to"
            require_no_fraction("k", k, fix)
            rule = Largest(int(k))
        case JumpReLU():
            rule = Jump(numbers["threshold"])
        case Gated():
            affine["b_enc"] = numbers["b_mag"]
            rule = Gate(numbers["r_mag"], numbers["b_gate"])
        case BatchTopK():
            rule = OneThreshold(k, float(numbers["threshold"]))
        case Matryoshka():
            rule = OneThreshold(k, float(numbers["threshold"]), dictionary.prefixes)
        case _:
            raise ValueError(
                f"the dictionary is a {type(dictionary).__name__}, expected a variant of "
                "ReLU, TopK, JumpReLU, Gated, BatchTopK or Matryoshka; no other kind is "
                "written (fold a scaling first, with scaling.fold)"
            )
    return checked("the parameters", Weights(**affine, rule=rule))


def _one_k(dictionary: Any) -> float:
    k = np.asarray(getattr(dictionary, "k", 0))
    if k.size != 1:
        raise ValueError(
            f"k has shape {k.shape}, expected one number; take one member of the stack, "
            "with jax.tree.map(lambda leaf: leaf[i], ...)"
        )
    return float(k.item())


def layer_norm(x: Float[Array, "*batch d_model"]) -> tuple[Array, Array, Array]:
    """The normalised samples that some dictionaries were trained on, mean and deviation.

    (x - mean) / (std + 1e-5) with the deviation's denominator d_model - 1, as openai's,
    bartbussmann's and SAELens' "layer_norm" have it. Of a reconstruction x_hat of such
    samples, x_hat * std + mean reconstructs x.
    """
    mean = jnp.mean(x, axis=-1, keepdims=True)
    std = jnp.std(x, axis=-1, keepdims=True, ddof=1)
    return (x - mean) / (std + _EPSILON), mean, std


def require_normalised(where: Any, in_file: bool, normalised: bool) -> None:
    """Raises ValueError unless the caller knows what the dictionary takes."""
    if in_file and not normalised:
        raise ValueError(
            f"{where} layer-normalises its inputs, so that reconstructions are no function "
            "of codes alone, and normalised=True was not given; give it, and pass the "
            "dictionary weights.layer_norm(x)"
        )
    if normalised and not in_file:
        raise ValueError(
            f"{where} takes samples as they are, and normalised=True was given, expected "
            "False; leave it out"
        )
