"""One call from a dictionary and a world to scores between floors and ceilings."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from synthetic.base import Batch, KnownDirections
from synthetic.validation import require_range, require_width
from toymodels.scores import ceilings, classification, controls, geometry
from toymodels.scores.callables import callable_on_arrays, decoder_rows, require_codes
from toymodels.scores.evaluation import (
    Evaluation,
    evaluate_rows,
    reordered,
    rows_of,
    sampling_intervals,
    values,
)
from toymodels.scores.streaming import sample
from toymodels.scores.summary import scores

__all__ = ["Report", "score", "scores"]

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_CALIBRATION = 4_096
_SHOWN = ("mcc_dec", "mcc_act", "feature_f1", "auroc", "amplitude_slope", "l0")
_ABOVE = 1e-4  # explained variance is a float32 sum


@dataclass(frozen=True)
class Report:
    """Scores of one dictionary, with floors and ceilings.

    Attributes:
        values: name to score.
        floor: the same for random directions at the same L0.
        ceiling: the same for the true codes and directions.
        n_samples: how many samples the scores rest on.
        intervals: name to the ends of the 95 % interval that resampling the blocks gives;
            scores of the decoder alone have none.
        controls: name of a control to its scores; the floor is among them.
        ceilings: name of a ceiling to its scores; the ceiling is among them.
        by_frequency: recall, F1 and cosine of the features in five bins, rarest first.
        flags: what makes the scores doubtful, in sentences.
    """

    values: dict[str, float]
    floor: dict[str, float]
    ceiling: dict[str, float]
    n_samples: int
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    ceilings: dict[str, dict[str, float]] = field(default_factory=dict)
    by_frequency: dict[str, list[float]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; None for what could not be measured."""
        return _plain(asdict(self))

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        lines = [
            f"{'score':<24}{'value':>9}{'floor':>9}{'ceiling':>9}{'95 % interval':>20}"
        ]
        for name, value in self.values.items():
            ends = self.intervals.get(name)
            between = "" if ends is None else f"{ends[0]:>11.3f}{ends[1]:>9.3f}"
            columns = (value, self.floor[name], self.ceiling[name])
            numbers = "".join(f"{number:>9.3f}" for number in columns)
            lines.append(f"{name:<24}{numbers}{between}")
        lines += ["", f"{'beside it':<24}" + "".join(f"{n:>16}" for n in _SHOWN)]
        lines[-1] += f"{'explained_var.':>16}"
        for name, others in (self.controls | self.ceilings).items():
            shown = [others[n] for n in (*_SHOWN, "explained_variance")]
            lines.append(f"{name:<24}" + "".join(f"{number:>16.3f}" for number in shown))
        lines += ["", *(f"! {flag}" for flag in self.flags)]
        return "\n".join([*lines, f"on {self.n_samples:,} samples"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def score(
    encode: Callable[[Any], Any],
    decode: Callable[[Any], Any],
    world: KnownDirections,
    key: Key[Array, ""],
    n_samples: int = 65_536,
    block: int = 2_048,
    absolute: bool = False,
    others: Mapping[str, Pair] | None = None,
    draws: int = 200,
    pursuit_samples: int = 4_096,
) -> Report:
    """Scores a dictionary, given as two callables on arrays, against a world.

    Callables that JAX can trace are compiled; others are called with NumPy arrays, so a
    dictionary from any framework will do.

    Beside the dictionary every report holds controls (random directions at its L0, its own
    rows permuted, its signs flipped) and ceilings (the true directions with true codes,
    least squares on the true support, FISTA, OMP, and in small worlds a logistic probe for
    each feature). Controls that must be trained (a
    decoder or encoder frozen at random, `toymodels.sae.around.frozen`) come in by `others`.

    Args:
        encode: [batch, d_model] -> [batch, latent].
        decode: [batch, latent] -> [batch, d_model], affine.
        world: carries `directions`, and `parents` where it has a hierarchy.
        key: of the samples; never the key of the training data.
        n_samples: rounded up to whole blocks.
        block: samples held in memory at once, and the unit that intervals resample.
        absolute: count anti-aligned latents as aligned.
        others: name to (encode, decode) of further controls.
        draws: resamplings behind the intervals; 0 for none. (None either where blocks x
            latents x features exceeds 2^26.)
        pursuit_samples: on which the ceilings below the true codes are scored, rounded up
            to whole blocks; 0 leaves them out.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or `decode` is not affine.
    """
    require_range("draws", draws, low=0, fix="0 resamplings are none")
    require_range("pursuit_samples", pursuit_samples, low=0, fix="0 leaves them out")
    key_samples, key_example, key_probe, key_floor = jax.random.split(key, 4)
    key_random, key_order, key_draws = jax.random.split(key_floor, 3)
    example = sample(world, key_example, _CALIBRATION)
    keys = jax.random.split(key_samples, -(-n_samples // block))

    def measured(codes, rows, keys=keys, keep_blocks=False) -> Evaluation:
        return evaluate_rows(codes, rows, world, keys, block, example, keep_blocks)

    encode, decode, W_dec = _compiled((encode, decode), world, example, key_probe)
    of = partial(rows_of, world=world, absolute=absolute)
    rows = of(W_dec)
    found = measured(lambda b: _codes(encode, decode, b), rows, keep_blocks=draws > 0)
    own = values(found)

    order = np.asarray(jax.random.permutation(key_order, len(W_dec)))
    random = controls.random_at_l0(key_random, example.x, len(W_dec), own["l0"])
    beside = {
        "random at this L0": values(measured(_jitted(random), of(random.W_dec))),
        "permuted decoder": values(
            measured(lambda b: _permuted(encode, decode, order, b), reordered(rows, order))
        ),
        "signs flipped": values(
            measured(lambda b: _flipped(encode, decode, b), of(-W_dec))
        ),
    }
    for i, (name, pair) in enumerate((others or {}).items()):
        probe = jax.random.fold_in(key_floor, i)
        codes, theirs = _codes_and_rows(pair, world, example, probe)
        beside[name] = values(measured(codes, of(theirs)))

    oracle, true = controls.oracle(world, example), of(world.directions)
    above = {"true codes": values(measured(_jitted(oracle), true))}
    few = keys[: -(-pursuit_samples // block)]
    found_from_x = ceilings.of_world(world, example) if len(few) else {}
    for name, ceiling in found_from_x.items():
        above[name] = values(measured(_jitted(ceiling), true, few))

    feature = classification.of_pairs(found.statistics, found.pairs)
    cosine = np.zeros(world.n_features)
    cosine[found.pairs.feature] = found.pairs.value
    bins = min(5, world.n_features)
    intervals = sampling_intervals(found, key_draws, draws)
    return Report(
        own,
        beside["random at this L0"],
        above["true codes"],
        len(keys) * block,
        {name: (found.low, found.high) for name, found in intervals.items()},
        beside,
        above,
        {
            name: classification.by_frequency(of, found.statistics, bins).tolist()
            for name, of in (
                ("recall", feature.recall),
                ("f1", feature.f1),
                ("cosine", cosine),
            )
        },
        flags(encode, example, W_dec, world, own, above["true codes"]),
    )


def flags(
    encode: Callable[[Any], Any],
    example: Batch,
    W_dec: np.ndarray,
    world: KnownDirections,
    own: dict[str, float],
    oracle: dict[str, float],
) -> list[str]:
    """What makes scores doubtful, in sentences."""
    found = []
    moved = depends_on_other_rows(encode, example)
    if moved > 0:
        found.append(
            f"the codes depend on the other rows of the batch: {moved:.1%} of the samples "
            "changed when their neighbours did; score what is used one sample at a time"
        )
    against = geometry.anti_aligned(geometry.cosines(W_dec, world.directions)).sum()
    if against:
        found.append(
            f"{against} of {len(W_dec)} latents point against a feature (cosine below "
            "-0.5); scores of |cosine| would count them as finds"
        )
    gap = own["explained_variance"] - oracle["explained_variance"]
    if gap > _ABOVE:
        found.append(
            f"explained variance is {gap:.3f} above that of the true codes and directions: "
            "it fits noise or interference"
        )
    return found


def depends_on_other_rows(encode: Callable[[Any], Any], example: Batch) -> float:
    """The share of samples whose codes change when the other half of the batch does.

    The other half moves four times as far from the mean: a selection across the batch
    (BatchTopK as trained, batch normalisation) then leaves these samples less.
    """
    half = len(example.x) // 2
    x = np.asarray(example.x)
    loud = np.concatenate([x[:half], x.mean(0) + 4 * (x[half:] - x.mean(0))])
    quiet, other = (np.asarray(encode(jnp.asarray(rows)))[:half] for rows in (x, loud))
    changed = np.abs(quiet - other) > 1e-4 * max(np.abs(quiet).max(), 1e-12)
    return float(changed.any(axis=1).mean())


def _compiled(pair: Pair, world: KnownDirections, example: Batch, key: Key[Array, ""]):
    """Both callables compiled where they can be, and the rows of the decoder."""
    encode = callable_on_arrays(pair[0], example.x)
    z = encode(example.x)
    require_codes(z, _CALIBRATION)
    decode = callable_on_arrays(pair[1], z)
    W_dec = decoder_rows(decode, z.shape[-1], key)
    fix = "decode maps latents back to the space of x"
    require_width("the width of what decode returns", W_dec.shape[1], world.d_model, fix)
    return encode, decode, W_dec


def _codes_and_rows(pair: Pair, world, example: Batch, key: Key[Array, ""]):
    encode, decode, W_dec = _compiled(pair, world, example, key)
    return lambda batch: _codes(encode, decode, batch), W_dec


def _codes(encode, decode, batch: Batch):
    z = encode(batch.x)
    return z, decode(z)


def _permuted(encode, decode, order, batch: Batch):
    """The codes as they are, each read by another latent's row."""
    z = np.asarray(encode(batch.x))
    read = np.empty_like(z)
    read[:, order] = z
    return z, decode(read)


def _flipped(encode, decode, batch: Batch):
    """Codes and rows both negated: the reconstruction is as it was."""
    z = encode(batch.x)
    return -z, decode(z)


_control_codes = jax.jit(lambda control, batch: control.codes(batch))


def _jitted(control):
    return lambda batch: _control_codes(control, batch)
