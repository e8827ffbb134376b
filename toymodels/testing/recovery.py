"""Does a dictionary find the features of a world? One assertion, for test suites.

    assert_recovers(sae, world="hierarchy")

It says what is wrong feature by feature: missed, merged with another, or absorbed by a
child.
"""

from collections.abc import Callable
from operator import methodcaller
from typing import Any, NamedTuple

import jax
import numpy as np

from synthetic.base import KnownDirections
from synthetic.streams import stream_key
from synthetic.validation import require_range
from synthetic.worlds import standard
from toymodels.scores import absorption, classification
from toymodels.scores.adapters import adapt
from toymodels.scores.callables import differs_when_repeated
from toymodels.scores.evaluation import Evaluation, evaluate, values
from toymodels.scores.prepared import prepare
from toymodels.scores.scoring import depends_on_other_rows
from toymodels.scores.streaming import opened

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
        precision, recall: of that latent as a detector of the feature, likewise.
        on: the share of samples in which that latent is on.
    """

    feature: int
    latent: int
    cosine: float
    f1: float
    precision: float
    recall: float
    on: float

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
    decode: Callable[[Any], Any] | str | KnownDirections | None = None,
    world: str | KnownDirections = "hierarchy",
    mcc_act: float = 0.9,
    mcc_dec: float = 0.9,
    f1: float = 0.9,
    seed: int = 0,
    missed: int = 0,
    merged: int = 0,
    absorbed: int = 0,
) -> dict[str, float]:
    """Raises AssertionError unless a dictionary found the features of a world.

    Scored on 16,384 samples of the world's test stream (`synthetic.streams`), which shares
    no sample with the training stream that `synthetic.batches` gives. Features need not be
    in order; an anti-aligned latent has not found its feature, but one whose code and row
    are both negated has (`scores.prepared`). Means hide a feature that is lost among many
    that are found, so what `diagnose` lists has limits of its own.

    Args:
        dictionary: anything that `adapters.adapt` understands, alone or as `encode`.
        decode: affine, where `dictionary` is the callable `encode`. A world in its place is
            taken for `world`, so that `assert_recovers(sae, "easy")` means what it says.
        world: a name of `synthetic.worlds.standard`, or a world with directions.
        mcc_act: least mean correlation of latents and features, matched one-to-one.
        mcc_dec: least mean cosine of decoder rows and directions, matched one-to-one.
        f1: least mean F1 of the features, a feature without a latent counting 0.
        seed: the data seed.
        missed: how many features may be missed.
        merged: how many latents may stand for several features at once.
        absorbed: how many pairs of a parent and a child that absorbs it there may be.

    Returns:
        Every score by name (`toymodels.scores`).

    Raises:
        AssertionError: a score is too low, or more is missed, merged or absorbed than
            allowed; the message lists what. Or the codes of a sample depend on the rest of
            its batch.
        ValueError, TypeError: it cannot be scored.
    """
    __tracebackhide__ = _of_assertions
    back, world = _one_world(decode, world)
    limits = {"missed": missed, "merged": merged, "absorbed": absorbed}
    for kind, limit in limits.items():
        require_range(kind, limit, low=0, fix="0 allows none")
    name = f"the world {world!r}" if isinstance(world, str) else "the world"
    world = standard.world(world) if isinstance(world, str) else world
    found, notes = _evaluation(adapt(dictionary, back), world, seed)
    scores = values(found)
    wanted = {"mcc_act": mcc_act, "mcc_dec": mcc_dec, "feature_f1": f1}
    findings = diagnose(found)
    wrong = _low(scores, wanted) + _many(findings, limits)
    if wrong:
        said = f"the dictionary does not recover {name}: {', '.join(wrong)}"
        lines = [said, *_listed(findings), *notes, _advice(findings)]
        raise AssertionError("\n".join(lines))
    return scores


# pytest hides the frames of this file where an assertion failed, not where they broke.
_of_assertions = methodcaller("errisinstance", AssertionError)


def _one_world(decode: Any, world: Any) -> tuple[Any, Any]:
    """Both, where the world may have come in the place of `decode`."""
    if not isinstance(decode, str) and (callable(decode) or not hasattr(decode, "sample")):
        return decode, world
    if isinstance(world, str) and world == "hierarchy":
        return None, decode
    came = " and ".join(
        repr(one) if isinstance(one, str | float | int) else f"a {type(one).__name__}"
        for one in (decode, world)
    )
    raise TypeError(
        f"the arguments after the dictionary are {came}, expected one world; name the "
        "others, as in assert_recovers(sae, world, mcc_act=0.9)"
    )


def _evaluation(callables, world: KnownDirections, seed: int):
    """The pass, and what was turned or used instead (`scores.prepared`)."""
    __tracebackhide__ = _of_assertions
    key_example, key_probe, key_samples = jax.random.split(stream_key(seed, "test"), 3)
    world, example = opened(world, key_example, _BLOCK)
    ours = prepare(callables, world, example, key_probe)
    changed = differs_when_repeated(ours.encode, example.x)
    if changed > 0:
        raise AssertionError(
            f"encode is not deterministic: {changed:.1%} of the samples got other codes "
            "for the same batch again, expected equal ones; turn off dropout and noise"
        )
    moved = depends_on_other_rows(ours.encode, example)
    if moved > 0:
        raise AssertionError(
            f"the codes of {moved:.1%} of the samples changed with the other rows of their "
            "batch, expected each sample's codes to be its own; test the dictionary as it "
            "is used, with its threshold (BatchTopK) and in evaluation mode"
        )
    keys = jax.random.split(key_samples, _BLOCKS)
    return evaluate(ours.codes, ours.W_dec, world, keys, _BLOCK, example), ours.notes


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
    detects = classification.of_pairs(statistics, pairs)
    on = np.zeros(n_features)
    on[pairs.feature] = np.asarray(statistics.z_on / statistics.n)[pairs.latent]
    lost = (cosine < _COSINE) | (detects.f1 < _F1)

    absorbed = _absorbed(found, latent)
    related = {(edge.parent, edge.child) for edge in absorbed}
    merged = _merged(found, lost, related)
    told = {feature for edge in related for feature in edge}
    told |= {feature for one in merged for feature in one.features}
    numbers = (cosine, detects.f1, detects.precision, detects.recall, on)
    missed = [
        Missed(int(j), int(latent[j]), *(float(values[j]) for values in numbers))
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


def _low(scores: dict[str, float], wanted: dict[str, float]) -> list[str]:
    return [
        f"{score} {scores[score]:.3f} (at least {least:g})"
        for score, least in wanted.items()
        if not scores[score] >= least
    ]


def _many(findings: Findings, limits: dict[str, int]) -> list[str]:
    counts = {kind: len(items) for kind, items in findings._asdict().items()}
    return [
        f"{counts[kind]} {kind} (at most {limit})"
        for kind, limit in limits.items()
        if counts[kind] > limit
    ]


def _listed(findings: Findings) -> list[str]:
    lines = []
    for kind, items in findings._asdict().items():
        if items:
            more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
            lines.append(f"{kind}: {'; '.join(map(str, items[:_SHOWN]))}{more}")
    return lines


def _advice(findings: Findings) -> str:
    """What to look at, by what the lost features have in common."""
    if not any(findings):
        return (
            "every feature has a latent, but scores are low throughout; look at "
            "thresholds, shrinkage and dense latents"
        )
    if findings.absorbed:
        return "less sparsity or a matryoshka loss absorbs less"
    pointing = [one for one in findings.missed if one.cosine >= _COSINE]
    advice = []
    if any(one.recall >= _HALF > one.precision for one in pointing):
        advice.append(
            "some latents point along their feature and are on without it; look at "
            "thresholds, at a k that is too large or at a penalty that is too small"
        )
    if any(0 < one.recall < _HALF for one in pointing):
        advice.append(
            "some latents point along their feature and are seldom on with it; look at "
            "thresholds, at a k that is too small or at a penalty that is too large"
        )
    dead = [one for one in findings.missed if one.latent >= 0 and not one.on]
    if dead:
        advice.append("some latents are never on; look at dead latents and at the penalty")
    if not advice or any(one not in dead + pointing for one in findings.missed):
        advice.append("look at the width, the penalty and the training time")
    return "\n".join(advice)
