"""One call from a dictionary and a world to scores between floors and ceilings."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from synthetic.base import Batch, KnownDirections
from synthetic.random import named
from synthetic.validation import require_key, require_range, require_whole
from toymodels.scores import ceilings, classification, controls, geometry, presence
from toymodels.scores.adapters import adapt
from toymodels.scores.callables import differs_when_repeated
from toymodels.scores.evaluation import (
    Evaluation,
    evaluate_rows,
    reordered,
    rows_of,
    sampling_intervals,
    values,
)
from toymodels.scores.prepared import prepare
from toymodels.scores.report import Report
from toymodels.scores.streaming import opened
from toymodels.training.progress import parts

_CALIBRATION = 4_096
_ABOVE = 1e-4  # explained variance is a float32 sum


def score(
    dictionary: Any,
    world: Any,
    key: Key[Array, ""],
    n_samples: int | None = None,
    block: int = 2_048,
    absolute: bool = False,
    others: Mapping[str, Any] | None = None,
    draws: int = 200,
    pursuit_samples: int = 4_096,
    progress: bool | None = None,
) -> Report:
    """Scores a dictionary against a world, between floors and ceilings.

    A dictionary is whatever `adapters.adapt` understands: what `fit` returns, a PyTorch
    module of another library, a pair (encode, decode) of functions on arrays, or a pair
    (dictionary, params). Functions that JAX can trace are compiled; others are called with
    NumPy arrays. A world need not be traceable either: it is then called outside jit, and
    its samples are kept (`streaming.opened`).

    Where the world has no `directions`, as the residual stream of a player has none, the
    scores are those of `scores.presence`: how well latents tell what is present.

    Beside the dictionary every report holds controls (random directions at its L0, its own
    rows permuted, its signs flipped) and ceilings (the true directions with true codes,
    least squares on the true support, FISTA, OMP, and in small worlds a logistic probe for
    each feature). Controls that must be trained (a
    decoder or encoder frozen at random, `toymodels.sae.around.frozen`) come in by `others`.

    Latents whose codes are never positive are turned, code and row negated together, and
    where a module's `forward` is more than decode(encode(x)) (a skip connection) the
    reconstruction is forward's; `flags` say so (`scores.prepared`).

    Args:
        dictionary: as above. `decode` must be affine where directions are scored.
        world: with `directions` for all scores, and with `parents` where it has a
            hierarchy.
        key: of the samples. They are none of those that `fit` draws, whatever the key.
        n_samples: rounded up to whole blocks; by default 65,536, and 8,192 to choose
            latents on with as many to score them on where there are no directions.
        block: samples held in memory at once, and the unit that intervals resample.
        absolute: count anti-aligned latents as aligned, in cosines and in correlations.
        others: name to further dictionaries, to stand among the controls.
        draws: resamplings behind the intervals; 0 for none. (None either where blocks x
            latents x features exceeds 2^26.)
        pursuit_samples: on which the ceilings below the true codes are scored, rounded up
            to whole blocks; 0 leaves them out.
        progress: True shows how many passes over samples are done, False nothing, and None
            shows them on a terminal or in a notebook only.

    Raises:
        ValueError: shapes do not fit, a value is not finite, `decode` is not affine, a
            count is not positive, or the world gives the same samples again and again.
        TypeError: `key` is no key, `world` no world with directions, or a callable none.
    """
    require_key("key", key)
    given = {"n_samples": n_samples, "block": block, "draws": draws}
    for name, count in (given | {"pursuit_samples": pursuit_samples}).items():
        require_whole(name, 1 if count is None else count)
    callables = adapt(dictionary)
    if getattr(world, "directions", None) is None and callable(
        getattr(world, "sample", None)
    ):
        return presence.report(callables, world, key, n_samples or 8_192, others)
    n_samples = 65_536 if n_samples is None else n_samples
    require_range("n_samples", n_samples, low=1, fix="scores need samples")
    require_range("block", block, low=1, fix="an empty block has no data")
    require_range("draws", draws, low=0, fix="0 resamplings are none")
    require_range("pursuit_samples", pursuit_samples, low=0, fix="0 leaves them out")
    keys = jax.random.split(named(key, "score"), 4)
    key_samples, key_example, key_probe, key_floor = keys
    key_random, key_order, key_draws = jax.random.split(key_floor, 3)
    world, example = opened(world, key_example, _CALIBRATION)
    keys = jax.random.split(key_samples, -(-n_samples // block))

    n_passes = 5 + len(others or {}) + bool(pursuit_samples) * ceilings.number(world)
    passed = parts(progress, "scores", n_passes + 1, "pass")

    def measured(codes, rows, keys=keys, keep_blocks=False) -> Evaluation:
        found = evaluate_rows(codes, rows, world, keys, block, example, keep_blocks)
        passed()
        return found

    ours = prepare(callables, world, example, key_probe)
    W_dec = ours.W_dec
    of = partial(rows_of, world=world, absolute=absolute)
    rows = of(W_dec)
    found = measured(ours.codes, rows, keep_blocks=draws > 0)
    own = values(found)

    order = np.asarray(jax.random.permutation(key_order, len(W_dec)))
    random = controls.random_at_l0(key_random, example.x, len(W_dec), own["l0"])
    beside = {
        "random at this L0": values(measured(_jitted(random), of(random.W_dec))),
        "permuted decoder": values(
            measured(partial(ours.permuted, order), reordered(rows, order))
        ),
        "signs flipped": values(measured(ours.flipped, of(-W_dec))),
    }
    for name, one in (others or {}).items():
        other = prepare(adapt(one), world, example, named(key_floor, name))
        beside[name] = values(measured(other.codes, of(other.W_dec)))

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
    passed()
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
        [*ours.notes, *flags(ours.encode, example, W_dec, world, own, above["true codes"])],
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
    changed = differs_when_repeated(encode, example.x)
    moved = depends_on_other_rows(encode, example) if changed == 0 else 0
    if changed > 0:
        found.append(
            f"encode is not deterministic: {changed:.1%} of the samples got other codes "
            "when the same batch came again; turn off dropout and noise"
        )
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


_control_codes = jax.jit(lambda control, batch: control.codes(batch))


def _jitted(control):
    return lambda batch: _control_codes(control, batch)
