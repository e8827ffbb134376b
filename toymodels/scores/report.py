"""One call from a dictionary and a world to a table of scores between floor and ceiling."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.base import Batch, KnownDirections
from synthetic.validation import require_width
from toymodels.scores import classification, controls, correlation, geometry, reconstruction
from toymodels.scores.callables import callable_on_arrays, decoder_rows, require_codes
from toymodels.scores.statistics import Statistics, merge_all
from toymodels.scores.streaming import blocks, sample

_CALIBRATION = 4_096


def scores(
    statistics: Statistics,
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    directions: Float[Array | np.ndarray, "feature d_model"],
    absolute: bool = False,
) -> dict[str, float]:
    """Every score by name; see the modules of this package for their formulas.

    Raises:
        ValueError: a statistic, `W_dec` or `directions` is not finite, or widths differ.
    """
    _require_finite(statistics)
    cosine = geometry.cosines(W_dec, directions, absolute)
    latent = classification.by_latent(statistics, cosine)
    feature = classification.by_feature(statistics, cosine)
    return {
        "mcc_dec": geometry.mcc_dec(cosine),
        "recovered": geometry.recovered(cosine),
        "feature_max_cosine": geometry.feature_max_cosine(cosine),
        "latent_max_cosine": geometry.latent_max_cosine(cosine),
        "uniqueness": geometry.uniqueness(cosine),
        "mcc_act": correlation.mcc_act(statistics),
        "latent_precision": float(latent.precision.mean()),
        "latent_recall": float(latent.recall.mean()),
        "latent_f1": float(latent.f1.mean()),
        "feature_precision": float(feature.precision.mean()),
        "feature_recall": float(feature.recall.mean()),
        "feature_f1": float(feature.f1.mean()),
        "explained_variance": reconstruction.explained_variance(statistics),
        "shrinkage": reconstruction.shrinkage(statistics),
        "l0": reconstruction.l0(statistics),
        "true_l0": reconstruction.true_l0(statistics),
        "dead": reconstruction.dead(statistics),
        "dense": reconstruction.dense(statistics),
    }


@dataclass(frozen=True)
class Report:
    """Scores of one dictionary, with the floor and ceiling of each.

    Attributes:
        values: name to score.
        floor: the same for random directions at the same L0.
        ceiling: the same for the true codes and directions.
        n_samples: how many samples the scores rest on.
    """

    values: dict[str, float]
    floor: dict[str, float]
    ceiling: dict[str, float]
    n_samples: int

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        return {
            "n_samples": self.n_samples,
            "values": self.values,
            "floor": self.floor,
            "ceiling": self.ceiling,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        lines = [f"{'score':<20}{'value':>9}{'floor':>9}{'ceiling':>9}"]
        lines += [
            f"{name:<20}{value:>9.3f}{self.floor[name]:>9.3f}{self.ceiling[name]:>9.3f}"
            for name, value in self.values.items()
        ]
        return "\n".join([*lines, f"on {self.n_samples:,} samples"])


def score(
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any],
    world: KnownDirections,
    key: Key[Array, ""],
    n_samples: int = 65_536,
    block: int = 8_192,
    absolute: bool = False,
) -> Report:
    """Scores a dictionary, given as two callables on arrays, against a world.

    Callables that JAX can trace are compiled; others are called with NumPy arrays, so a
    dictionary from any framework will do.

    Args:
        encode: [batch, d_model] -> [batch, latent].
        decode: [batch, latent] -> [batch, d_model], affine.
        world: carries `directions`.
        key: of the samples; never the key of the training data.
        n_samples: rounded up to whole blocks.
        block: samples held in memory at once.
        absolute: count anti-aligned latents as aligned.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or `decode` is not affine.
    """
    key_samples, key_example, key_probe, key_floor = jax.random.split(key, 4)
    example = sample(world, key_example, _CALIBRATION)
    encode = callable_on_arrays(encode, example.x)
    z = encode(example.x)
    require_codes(z, _CALIBRATION)
    decode = callable_on_arrays(decode, z)
    W_dec = decoder_rows(decode, z.shape[-1], key_probe)
    fix = "decode maps latents back to the space of x"
    require_width("the width of what decode returns", W_dec.shape[1], world.d_model, fix)
    keys = jax.random.split(key_samples, -(-n_samples // block))

    def codes(batch: Batch):
        z = encode(batch.x)
        return z, decode(z)

    found = merge_all(blocks(codes, world, keys, block))
    values = scores(found, W_dec, world.directions, absolute)
    control = controls.random_at_l0(key_floor, example.x, z.shape[-1], values["l0"])
    floor = merge_all(blocks(control.codes, world, keys, block))
    oracle = controls.oracle(world, example)
    ceiling = merge_all(blocks(oracle.codes, world, keys, block))
    return Report(
        values,
        scores(floor, control.W_dec, world.directions, absolute),
        scores(ceiling, world.directions, world.directions, absolute),
        len(keys) * block,
    )


def _require_finite(statistics: Statistics) -> None:
    for name, numbers in statistics._asdict().items():
        if not np.isfinite(numbers).all():
            raise ValueError(
                f"{name} over the samples is NaN or infinite, expected finite numbers; "
                "look for samples on which encode or decode overflows or divides by 0"
            )
