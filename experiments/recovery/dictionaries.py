"""Which dictionary finds the features of which world?

Every variant of `toymodels.sae` that reads single samples
(`experiments.recovery.contenders`) and the classical methods, with as many latents as
there are features, on three of the standard worlds (`synthetic.worlds.standard`): features
in superposition, a hierarchy, and groups that come together. Variants that read pairs,
several views or sequences get the same features in that form
(`experiments.recovery.contenders_elsewhere`). Variants with a number of active latents are
given it; variants with a penalty are steered to it (`toymodels.sae.Controlled`). Three
targets around the true L0, several seeds, the same data for all. Scores are of the
exported dictionary: each sample's codes are its own.

Run:     python -m experiments dictionaries
Takes:   about 20 minutes on two cores
Expect:  on features in superposition nearly all variants find nearly all features; on the
         hierarchy plain variants absorb parents into their children; every variant that
         learns its directions stands clear of the floor
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np
from jaxtyping import Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAY_BE_EMPTY, OneOf
from experiments.recovery import contenders
from experiments.recovery.contenders import (
    CLASSICAL,
    CONTROL,
    SIGNED,
    VARIANTS,
    Contest,
    Group,
)
from experiments.recovery.contenders_elsewhere import ELSEWHERE, Contender, in_world
from figures.recovery import dictionary_families, dictionary_frontier
from synthetic import SparseFeatures, random
from synthetic.worlds import standard
from toymodels.scores import controls, geometry, streaming, summary
from toymodels.training import ensemble

SHOWN = ("mcc_dec", "mcc_act", "feature_f1", "explained_variance", "l0")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    worlds: names of `synthetic.worlds.standard`.
    variants: names of `contenders.VARIANTS` and `CLASSICAL`, and of
        `contenders_elsewhere.ELSEWHERE`; empty for all.
    targets: wanted L0 over the true one; the second is the table's.
    n_seeds: dictionaries per variant and target.
    steps, batch_size, learning_rate: of Adam; the rate falls to 0 in the last third.
    n_samples: on which the scores rest.
    """

    worlds: Annotated[tuple[str, ...], OneOf(lambda: standard.WORLDS)] = (
        "superposed",
        "hierarchy",
        "correlated",
    )
    variants: Annotated[tuple[str, ...], OneOf(lambda: ALL), MAY_BE_EMPTY] = ()
    targets: tuple[float, ...] = (0.6, 1.0, 1.7)
    n_seeds: int = 3
    steps: int = 2_500
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 14


FLAT = ("easy", "superposed", "correlated")
# What a skip transcoder's linear path can do, its latents need not.
LEARNED = (VARIANTS.keys() | ELSEWHERE.keys()) - {CONTROL, "skip transcoder"}
MADE_OF = VARIANTS | CLASSICAL
ALL = (*VARIANTS, *CLASSICAL, *ELSEWHERE)
ENDS = ("floor", "ceiling")
FITTED = 8_192  # samples that a classical method is fitted to


def run(settings: Settings, seed: int, job: Job) -> Result:
    names = settings.variants or ALL
    arrays: dict[str, np.ndarray] = {"targets": np.array(settings.targets)}
    metrics: dict[str, Any] = {
        "worlds": list(settings.worlds),
        "variants": list(names),
        "families": families(names),
    }
    keys = jax.random.split(random.key(seed), len(settings.worlds))
    for world_name, key in zip(settings.worlds, keys, strict=True):
        key_fit, key_score, key_control, key_x, key_own = jax.random.split(key, 5)
        world = standard.world(world_name)
        floor, ceiling = floor_and_ceiling(key_control, world, settings)
        metrics[world_name] = {"floor": floor, "ceiling": ceiling, "seconds": {}}
        contests = make_contests(key_x, world, ceiling["true_l0"], settings)
        for name in names:
            title = f"{name} on {world_name}"
            with job.stage(title):
                contender = ELSEWHERE.get(name) or in_world(MADE_OF[name])
                key_name = jax.random.clone(key_fit)
                own = contender.trained_on(jax.random.clone(key_own), world)
                if name in CLASSICAL:
                    groups, seconds = contenders.decompose(
                        key_name, contests, MADE_OF[name], settings.n_seeds
                    )
                else:
                    make = contender.of(world)
                    groups, seconds = contenders.train(
                        key_name, contests, make, title, own, settings, job
                    )
                if name in SIGNED:
                    groups = [contenders.turned(group, contests[0].x) for group in groups]
                seen = contender.scored_on(own, world)
                key_seen = jax.random.clone(key_score)
                scores = score_groups(key_seen, groups, contender, seen, settings)
            metrics[world_name]["seconds"][name] = seconds
            for score, values in scores.items():
                arrays[f"{world_name}/{name}/{score}"] = values
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics, arrays))


def families(names: Sequence[str]) -> dict[str, list[str]]:
    """Those that take part, by family."""
    found = {
        family: [name for name in members if name in names]
        for family, members in (contenders.FAMILIES | {"other data": ELSEWHERE}).items()
    }
    return {family: members for family, members in found.items() if members}


def make_contests(
    key: Key, world: SparseFeatures, true_l0: float, settings: Settings
) -> list[Contest]:
    """One per target, all with the same samples for those who need samples at once."""
    x = world.sample(key, FITTED).x
    return [
        Contest(world.n_features, true_l0 * target, true_l0, settings.steps, x)
        for target in settings.targets
    ]


def score_groups(
    key: Key, groups: list[Group], contender: Contender, world: Any, settings: Settings
) -> dict[str, np.ndarray]:
    """Every score as an array [target, seed], on the same samples for every variant."""
    directions = contender.directions(world)
    rows = []
    for group in groups:
        found = streaming.member_statistics(
            contender.codes,
            tuple(group),
            world,
            jax.random.clone(key),
            settings.n_samples,
            truth=contender.truth,
        )
        rows += [
            summary.scores(statistics, W_dec.reshape(len(W_dec), -1), directions)
            for statistics, W_dec in zip(found, np.asarray(group.params.W_dec), strict=True)
        ]
    shape = (len(settings.targets), settings.n_seeds)
    return {name: np.array([row[name] for row in rows]).reshape(shape) for name in rows[0]}


def floor_and_ceiling(
    key: Key, world: SparseFeatures, settings: Settings
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores of random directions at the true L0, and of the truth."""
    key_samples, key_random, key_chance, key_example = jax.random.split(key, 4)
    example = world.sample(key_example, 4_096)
    true_l0 = float((example.features != 0).sum(-1).mean())
    at_random = controls.random_at_l0(key_random, example.x, world.n_features, true_l0)

    def found(control, W_dec):
        statistics = streaming.member_statistics(
            lambda member, batch: member.codes(batch),
            ensemble.stack([control]),
            world,
            jax.random.clone(key_samples),
            settings.n_samples,
        )
        return summary.scores(statistics[0], W_dec, world.directions)

    floor = found(at_random, at_random.W_dec)
    floor["mcc_dec"] = geometry.chance_mcc_dec(
        key_chance, world.directions, world.n_features
    )
    return floor, found(controls.oracle(world, example), world.directions)


def rows(metrics: dict[str, Any], arrays) -> Iterator[tuple[str, str, dict[str, float]]]:
    """World, variant and median scores over seeds at the target nearest the true L0."""
    target = int(np.abs(arrays["targets"] - 1).argmin())
    for world in metrics["worlds"]:
        for name in metrics["variants"]:
            yield (
                world,
                name,
                {
                    score: float(np.median(arrays[f"{world}/{name}/{score}"][target]))
                    for score in SHOWN
                },
            )


def make_checks(metrics: dict[str, Any], arrays) -> list[Check]:
    """What must hold whichever variant is best."""
    checks = []
    every = list(rows(metrics, arrays))
    for world in metrics["worlds"]:
        floor = metrics[world]["floor"]
        all_here = {name: row for place, name, row in every if place == world}
        here = {name: row for name, row in all_here.items() if name in LEARNED}
        if not here:
            continue
        lowest = np.min([row["mcc_dec"] for row in here.values()])
        best = np.max([row["mcc_dec"] for row in here.values()])
        checks.append(
            Check.at_least(
                f"{world}: least median mcc_dec above the floor",
                lowest - floor["mcc_dec"],
                0.1,
                "the mean of random dictionaries",
            )
        )
        if world in FLAT:
            goal = "stated goal: features without a hierarchy can be told apart"
            checks.append(
                Check.within(f"{world}: best median mcc_dec", best, 0.97, 1.0 + 1e-6, goal)
            )
        elif {"BatchTopK", "Matryoshka"} <= here.keys():
            gain = here["Matryoshka"]["mcc_act"] - here["BatchTopK"]["mcc_act"]
            source = "Bussmann et al. 2025: prefixes absorb less"
            checks.append(
                Check.at_least(
                    f"{world}: mcc_act, Matryoshka over BatchTopK", gain, 0, source
                )
            )
        if CONTROL in all_here:
            lowest = np.min([row["mcc_act"] for row in here.values()])
            checks.append(
                Check.at_least(
                    f"{world}: least median mcc_act above the frozen decoder's",
                    lowest - all_here[CONTROL]["mcc_act"],
                    0.1,
                    "stated goal: learned rows read better than rows that never learn",
                )
            )
    return checks


def table(metrics: dict[str, Any], arrays) -> list[str]:
    """Medians over seeds at the true L0, as the Markdown of the README: a row per variant,
    in each world's column mcc_dec, mcc_act, F1, explained variance and L0.
    """
    worlds = metrics["worlds"]
    cells = {(world, name): row for world, name, row in rows(metrics, arrays)}
    for world in worlds:
        for name in ENDS:
            cells[world, name] = metrics[world][name]
    lines = [
        "| | " + " | ".join([*worlds, "s"]) + " |",
        "|---|" + "---|" * len(worlds) + "---|",
    ]
    for name in (*metrics["variants"], *ENDS):
        found = [
            " ".join(f"{cells[w, name][score]:.2f}" for score in SHOWN) for w in worlds
        ]
        seconds = [metrics[w]["seconds"][name] for w in worlds if name not in ENDS]
        found.append(f"{np.mean(seconds):.1f}" if seconds else "")
        lines.append(f"| {name} | " + " | ".join(found) + " |")
    return lines


EXPERIMENT = Experiment(
    name="dictionaries",
    question="Which dictionary finds the features of which world?",
    source="the papers of the variants; see `toymodels/sae`",
    minutes=20,
    settings=Settings(),
    quick=Settings(
        worlds=("hierarchy",),
        variants=("ReLU+L1", "JumpReLU", "TopK", "BatchTopK", "Matryoshka", CONTROL),
        n_seeds=2,
        steps=1_000,
    ),
    run=run,
    figures=(dictionary_frontier, dictionary_families),
    expect="Filled points, the matched cosines, are near 1 for most variants on features "
    "in superposition, lower on the hierarchy, where plain variants absorb parents; the "
    "frozen decoder stays at the floor (dotted). Explained variance, open, is near 1 for "
    "many that did not find the features. The page dictionary_families.html has every "
    "variant against L0: directions are found close to the true one (grey line) and lost "
    "where there are too few or too many latents on.",
)
