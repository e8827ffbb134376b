"""Does a dictionary find the features of a world? One assertion, for test suites.

    assert_recovers(sae, world="hierarchy")

It says what is wrong feature by feature: missed, merged with another, or absorbed by a
child.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synthetic.base import KnownDirections
from synthetic.streams import stream_key
from synthetic.validation import require_width
from synthetic.worlds import standard
from toymodels.exchange.adapters import adapt
from toymodels.scores import absorption, classification
from toymodels.scores.callables import callable_on_arrays, decoder_rows, require_codes
from toymodels.scores.evaluation import Evaluation, evaluate, values
from toymodels.scores.report import depends_on_other_rows
from toymodels.scores.streaming import sample

_BLOCK, _BLOCKS = 4_096, 4
_COSINE, _F1 = 0.7, 0.7  # below which a feature counts as missed
_HALF = 0.5  # the share that makes a second feature, and an absorbed one
_MADE_OF, _MOST = 0.9, 4  # of a row's squares, by how many features: a merged latent
_SHOWN = 6


class Missed(NamedTuple):
    """A feature whose own latent points elsewhere or does not detect it.

    Attributes:
        feature: which.
        latent: matched to it one-to-one, -1 where none is left.
        cosine, f1: of that pair, 0 without one.
    """

    feature: int
    latent: int
    cosine: float
    f1: float

    def __str__(self) -> str:
        if self.latent < 0:
            return f"feature {self.feature} (no latent is left for it)"
        return (
            f"feature {self.feature} (latent {self.latent}: cosine {self.cosine:.2f}, "
            f"F1 {self.f1:.2f})"
        )


class Merged(NamedTuple):
    """A latent that is on for several features and whose row is made of them.

    Attributes:
        latent: which.
        features: the features, of which at least one has no latent of its own.
        cosines: of the latent's row with each.
        recalls: P(latent on | feature present) of each.
    """

    latent: int
    features: tuple[int, ...]
    cosines: tuple[float, ...]
    recalls: tuple[float, ...]

    def __str__(self) -> str:
        def listed(numbers):
            return " and ".join(f"{number:.2f}" for number in numbers)

        features = " and ".join(map(str, self.features))
        return (
            f"features {features} in latent {self.latent} (cosines {listed(self.cosines)}, "
            f"on in {listed(self.recalls)} of their samples)"
        )


class Absorbed(NamedTuple):
    """A feature whose latent is silent where a child is present.

    Attributes:
        parent, child: the features.
        latent: matched to the parent.
        gap: P(latent off | child present) - P(latent off | parent present without any).
        mass: of what x_hat has of the parent when the child is present, the share that
            other latents supply.
    """

    parent: int
    child: int
    latent: int
    gap: float
    mass: float

    def __str__(self) -> str:
        return (
            f"feature {self.parent} by its child {self.child} (latent {self.latent} is off "
            f"in {self.gap:.0%} more of the samples with {self.child}; other latents "
            f"supply {self.mass:.0%} of it there)"
        )


class Findings(NamedTuple):
    """What a dictionary got wrong. A feature is in one list only, if absorption explains
    it in that, else if merging does in that.
    """

    missed: list[Missed]
    merged: list[Merged]
    absorbed: list[Absorbed]


def assert_recovers(
    dictionary: Any,
    decode: Callable[[Any], Any] | None = None,
    world: str | KnownDirections = "hierarchy",
    mcc_act: float = 0.9,
    mcc_dec: float = 0.9,
    f1: float = 0.9,
    seed: int = 0,
) -> dict[str, float]:
    """Raises AssertionError unless a dictionary found the features of a world.

    Scored on 16,384 samples of the world's test stream (`synthetic.streams`), which shares
    no sample with the training stream that `synthetic.batches` gives. Features need not be
    in order; an anti-aligned latent has not found its feature.

    Args:
        dictionary: anything that `adapters.adapt` understands, alone or as `encode`.
        decode: affine, where `dictionary` is a callable.
        world: a name of `synthetic.worlds.standard`, or a world with directions.
        mcc_act: least mean correlation of latents and features, matched one-to-one.
        mcc_dec: least mean cosine of decoder rows and directions, matched one-to-one.
        f1: least mean F1 of the features, a feature without a latent counting 0.
        seed: the data seed.

    Returns:
        Every score by name (`toymodels.scores`).

    Raises:
        AssertionError: a score is too low; the message lists missed, merged and absorbed
            features. Or the codes of a sample depend on the rest of its batch.
        ValueError, TypeError: it cannot be scored.
    """
    name = f"the world {world!r}" if isinstance(world, str) else "the world"
    world = standard.world(world) if isinstance(world, str) else world
    found = _evaluation(adapt(dictionary, decode), world, seed)
    scores = values(found)
    wanted = {"mcc_act": mcc_act, "mcc_dec": mcc_dec, "feature_f1": f1}
    if any(not scores[score] >= least for score, least in wanted.items()):
        raise AssertionError(_sentences(name, scores, wanted, diagnose(found)))
    return scores


def _evaluation(callables, world: KnownDirections, seed: int) -> Evaluation:
    key_example, key_probe, key_samples = jax.random.split(stream_key(seed, "test"), 3)
    example = sample(world, key_example, _BLOCK)
    encode = callable_on_arrays(callables.encode, example.x)
    z = encode(example.x)
    require_codes(z, _BLOCK)
    decode = callable_on_arrays(callables.decode, z)
    W_dec = decoder_rows(decode, z.shape[-1], key_probe)
    fix = "decode maps latents back to the space of x"
    require_width("the width of what decode returns", W_dec.shape[1], world.d_model, fix)
    moved = depends_on_other_rows(encode, example)
    if moved > 0:
        raise AssertionError(
            f"the codes of {moved:.1%} of the samples changed with the other rows of their "
            "batch, expected each sample's codes to be its own; test the dictionary as it "
            "is used, with its threshold (BatchTopK) and in evaluation mode"
        )

    def codes(batch):
        z = encode(batch.x)
        return jnp.asarray(z), jnp.asarray(decode(z))

    keys = jax.random.split(key_samples, _BLOCKS)
    return evaluate(codes, W_dec, world, keys, _BLOCK, example)


def diagnose(found: Evaluation) -> Findings:
    """What went wrong, from the pass of `scores.evaluation.evaluate`.

    Absorbed: the latent of a parent is off in at least half more of the samples with the
    child than of those without any (`scores.absorption.absorption`). Merged: a latent's row
    is nine tenths made of two to four features, none weaker than half of the strongest
    (`scores.mixing`), it is on in at least half of the samples of each, and not all of
    them have a latent of their own. Missed: the matched latent has a cosine or an F1 below
    0.7, and neither explains it.
    """
    statistics, pairs = found.statistics, found.pairs
    n_features = len(statistics.a_on)
    latent, cosine = np.full(n_features, -1), np.zeros(n_features)
    latent[pairs.feature], cosine[pairs.feature] = pairs.latent, pairs.value
    f1 = classification.of_pairs(statistics, pairs).f1
    lost = (cosine < _COSINE) | (f1 < _F1)

    absorbed = _absorbed(found, latent)
    related = {(edge.parent, edge.child) for edge in absorbed}
    merged = _merged(found, lost, related)
    told = {feature for edge in related for feature in edge}
    told |= {feature for one in merged for feature in one.features}
    missed = [
        Missed(int(j), int(latent[j]), float(cosine[j]), float(f1[j]))
        for j in np.flatnonzero(lost)
        if j not in told
    ]
    return Findings(missed, merged, absorbed)


def _absorbed(found: Evaluation, latent: np.ndarray) -> list[Absorbed]:
    if found.watched is None or found.sums is None:
        return []
    edges = absorption.absorption(found.watched, found.sums)
    gap = np.where(np.isnan(edges.gap), edges.gap_of_child, edges.gap)
    return [
        Absorbed(
            int(edges.parent[i]),
            int(edges.child[i]),
            int(latent[edges.parent[i]]),
            float(gap[i]),
            float(edges.mass[i]),
        )
        for i in np.flatnonzero(gap >= _HALF)
    ]


def _merged(found: Evaluation, lost: np.ndarray, related: set) -> list[Merged]:
    statistics = found.statistics
    recall = classification.ratio(statistics.both_on, statistics.a_on)
    mixing, square = found.mixing, np.square(found.mixing)
    largest = mixing.max(axis=1, keepdims=True)
    holds = (mixing >= _HALF * largest) & (largest > 0)
    pure = np.where(holds, square, 0).sum(axis=1) >= _MADE_OF * square.sum(axis=1)
    several = (holds.sum(axis=1) >= 2) & (holds.sum(axis=1) <= _MOST)
    merged = []
    for i in np.flatnonzero(pure & several):
        features = np.flatnonzero(holds[i])
        if not lost[features].any() or recall[i, features].min() < _HALF:
            continue
        if any((p, c) in related for p in features for c in features):
            continue
        merged.append(
            Merged(
                int(i),
                tuple(map(int, features)),
                tuple(map(float, found.cosine[i, features])),
                tuple(map(float, recall[i, features])),
            )
        )
    return merged


def _sentences(name: str, scores, wanted, findings: Findings) -> str:
    low = [
        f"{score} {scores[score]:.3f} (at least {least:g})"
        for score, least in wanted.items()
        if not scores[score] >= least
    ]
    lines = [f"the dictionary does not recover {name}: {', '.join(low)}"]
    for kind, items in findings._asdict().items():
        if items:
            more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
            lines.append(f"{kind}: {'; '.join(map(str, items[:_SHOWN]))}{more}")
    if not any(findings):
        lines.append("every feature has a latent, but scores are low throughout; look at")
        lines[-1] += " thresholds, shrinkage and dense latents"
    elif findings.absorbed:
        lines.append("less sparsity or a matryoshka loss absorbs less")
    else:
        lines.append("look at dead latents, the width, the penalty and the training time")
    return "\n".join(lines)
