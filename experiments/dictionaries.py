"""Which dictionary finds the features of which world?

Every variant of `toymodels.sae` with as many latents as there are features, on three of
the standard worlds (`synthetic.standard`): features in superposition, a hierarchy, and
groups that come together. Variants with a number of active latents are given it; variants
with a penalty are steered to it (`toymodels.sae.Controlled`). Three targets around the
true L0, several seeds, the same data for all. Scores are of the exported dictionary: each
sample's codes are its own.

Run:     python -m experiments dictionaries
Takes:   about 20 minutes on two cores
Expect:  on features in superposition nearly all variants find nearly all features; on the
         hierarchy plain variants absorb parents into their children; every variant that
         learns its directions stands clear of the floor
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key, PyTree

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import dictionary_frontier
from synthetic import SparseFeatures, random, standard
from toymodels import ensemble, fit, sae
from toymodels.sae import training
from toymodels.scores import controls, geometry, streaming, summary

SHOWN = ("mcc_dec", "mcc_act", "feature_f1", "explained_variance", "l0")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    worlds: names of `synthetic.standard`.
    variants: names of this module's VARIANTS.
    targets: wanted L0 over the true one; the second is the table's.
    n_seeds: dictionaries per variant and target.
    steps, batch_size, learning_rate: of Adam; the rate falls to 0 in the last third.
    n_samples: on which the scores rest.
    """

    worlds: tuple[str, ...] = ("superposed", "hierarchy", "correlated")
    variants: tuple[str, ...] = ()
    targets: tuple[float, ...] = (0.6, 1.0, 1.7)
    n_seeds: int = 3
    steps: int = 2_500
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 14


Make = Callable[[int, float, int], Any]


def _prefixes(n: int) -> tuple[int, ...]:
    """A quarter of the latents, half of them, and all."""
    return (n // 4, n // 2, n)


def _steered(make: Callable[[int], Any]) -> Make:
    """A penalised variant whose L0 is steered."""
    return lambda n, l0, steps: sae.Controlled(make(n), target_l0=l0)


VARIANTS: dict[str, Make] = {
    "ReLU+L1": _steered(lambda n: sae.ReLU(n)),
    "ReLU+L1, April 2024": _steered(lambda n: sae.ReLUApril(n)),
    "tied": _steered(lambda n: sae.Tied(n)),
    "gated": _steered(lambda n: sae.Gated(n)),
    "p-annealing": lambda n, l0, steps: sae.Controlled(
        sae.PAnnealing(sae.ReLU(n), start=steps // 4, end=steps // 2), target_l0=l0
    ),
    "JumpReLU": _steered(lambda n: sae.JumpReLU(n)),
    "TopK": lambda n, l0, steps: sae.TopK(n, k=max(1.0, round(l0))),
    "AbsTopK": lambda n, l0, steps: sae.AbsTopK(n, k=max(1.0, round(l0))),
    "BatchTopK": lambda n, l0, steps: sae.BatchTopK(n, k=l0),
    "BatchTopK, k annealed": lambda n, l0, steps: sae.BatchTopK(
        n, k=l0, k_start=4 * l0, anneal_steps=steps // 2
    ),
    "ISTA step": lambda n, l0, steps: sae.IstaStep(sae.BatchTopK(n, k=l0)),
    "OrtSAE": lambda n, l0, steps: sae.OrtSAE(sae.BatchTopK(n, k=l0)),
    "aligned": lambda n, l0, steps: sae.Aligned(sae.BatchTopK(n, k=l0)),
    "Matryoshka": lambda n, l0, steps: sae.Matryoshka(n, _prefixes(n), k=l0),
    "Matryoshka, ReLU+L1": _steered(lambda n: sae.MatryoshkaReLU(n, _prefixes(n))),
    "Matryoshka, sampled": _steered(lambda n: sae.SampledMatryoshka(n)),
    "matching pursuit": lambda n, l0, steps: sae.MatchingPursuit(n, k=max(1.0, round(l0))),
    "OMP": lambda n, l0, steps: sae.OMP(n, k=max(1.0, round(l0))),
    "frozen decoder": lambda n, l0, steps: sae.FrozenDecoder(sae.BatchTopK(n, k=l0)),
}
CONTROL = "frozen decoder"
FLAT = ("easy", "superposed", "correlated")


def run(settings: Settings, seed: int, job: Job) -> Result:
    names = settings.variants or tuple(VARIANTS)
    arrays: dict[str, np.ndarray] = {"targets": np.array(settings.targets)}
    metrics: dict[str, Any] = {"worlds": list(settings.worlds), "variants": list(names)}
    keys = jax.random.split(random.key(seed), len(settings.worlds))
    for world_name, key in zip(settings.worlds, keys, strict=True):
        key_fit, key_score, key_control = jax.random.split(key, 3)
        world = standard.world(world_name)
        floor, ceiling = floor_and_ceiling(key_control, world, settings)
        metrics[world_name] = {"floor": floor, "ceiling": ceiling, "seconds": {}}
        targets = ceiling["true_l0"] * np.array(settings.targets)
        for name in names:
            title = f"{name} on {world_name}"
            with job.stage(title):
                stacked = members(name, world.n_features, targets, settings)
                state, seconds = fit_members(
                    jax.random.clone(key_fit), stacked, world, title, settings, job
                )
                scores = score_members(
                    jax.random.clone(key_score), stacked, state, world, settings
                )
            metrics[world_name]["seconds"][name] = seconds
            for score, values in scores.items():
                arrays[f"{world_name}/{name}/{score}"] = values
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics, arrays))


def members(name: str, n_latents: int, targets: np.ndarray, settings: Settings) -> PyTree:
    """One variant as a stacked pytree of [target * seed] dictionaries."""
    return ensemble.stack(
        [
            VARIANTS[name](n_latents, float(target), settings.steps)
            for target in targets
            for _ in range(settings.n_seeds)
        ]
    )


def fit_members(
    key: Key,
    stacked: PyTree,
    world: SparseFeatures,
    title: str,
    settings: Settings,
    job: Job,
) -> tuple[fit.State, float]:
    """Every member's final state, and the seconds that one takes once compiled."""
    key_init, key_data = jax.random.split(key)
    optimizer = training.adam(settings.learning_rate, settings.steps)
    n_members = len(settings.targets) * settings.n_seeds

    def start(key, dictionary):
        return training.start(key, dictionary, world.d_model, optimizer)

    def advance(state, dictionary, n):
        return training.advance(
            key_data,
            dictionary,
            state,
            n,
            world=world,
            optimizer=optimizer,
            batch_size=settings.batch_size,
        )

    seeds = jax.random.split(key_init, settings.n_seeds)
    place = jnp.arange(n_members) % settings.n_seeds
    together = ensemble.over_members(advance, n_members, shared=1)
    checkpoints = job.checkpoints(title)
    checkpoints.seconds = 0  # a variant takes seconds, all of them many minutes
    began = time.monotonic()
    state, history = fit.run(
        jax.jit(lambda state, n: together(state, stacked, n)),
        jax.vmap(start)(seeds[place], stacked),
        settings.steps,
        chunk=max(1, settings.steps // 6),
        progress=job.progress(title, settings.steps),
        checkpoints=checkpoints,
        measure=lambda state: {"clock": jnp.asarray(time.monotonic() - began)},
    )
    # The median passes over a chunk during which the command was interrupted.
    rates = np.diff(history.metrics["clock"]) / np.diff(history.step)
    return state, float(np.median(rates)) * settings.steps / n_members


def score_members(
    key: Key, stacked: PyTree, state: fit.State, world: SparseFeatures, settings: Settings
) -> dict[str, np.ndarray]:
    """Every score as an array [target, seed], on the same samples for every variant."""

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    found = streaming.member_statistics(
        codes, (stacked, state.params), world, key, settings.n_samples
    )
    rows = [
        summary.scores(statistics, W_dec, world.directions)
        for statistics, W_dec in zip(found, np.asarray(state.params.W_dec), strict=True)
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
    learned = [row for row in rows(metrics, arrays) if row[1] != CONTROL]
    for world in metrics["worlds"]:
        floor, ceiling = metrics[world]["floor"], metrics[world]["ceiling"]
        here = {name: row for place, name, row in learned if place == world}
        lowest = min(row["mcc_dec"] for row in here.values())
        best = max(row["mcc_dec"] for row in here.values())
        checks += [
            Check(
                f"{world}: least median mcc_dec above the floor",
                lowest - floor["mcc_dec"],
                0.1,
                None,
                "the mean of random dictionaries",
            ),
            Check(
                f"{world}: explained variance of the truth",
                ceiling["explained_variance"],
                1 - 1e-5,
                1 + 1e-5,
                "closed form, a world without noise",
            ),
        ]
        if world in FLAT:
            goal = "stated goal: features without a hierarchy can be told apart"
            checks.append(
                Check(f"{world}: best median mcc_dec", best, 0.97, 1.0 + 1e-6, goal)
            )
        elif {"BatchTopK", "Matryoshka"} <= here.keys():
            gain = here["Matryoshka"]["mcc_act"] - here["BatchTopK"]["mcc_act"]
            source = "Bussmann et al. 2025: prefixes absorb less"
            checks.append(
                Check(f"{world}: mcc_act, Matryoshka over BatchTopK", gain, 0, None, source)
            )
        if CONTROL in metrics["variants"]:
            apart = arrays[f"{world}/{CONTROL}/mcc_dec"] - floor["mcc_dec"]
            checks.append(
                Check(
                    f"{world}: frozen decoder, largest distance of mcc_dec from the floor",
                    float(np.abs(apart).max()),
                    None,
                    0.08,
                    "the mean of 16 random dictionaries",
                )
            )
    return checks


def table(metrics: dict[str, Any], arrays) -> list[str]:
    """Medians over seeds at the true L0, ready to be pasted as Markdown."""
    header = ["world", "variant", *SHOWN, "seconds"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    found = list(rows(metrics, arrays))
    for world in metrics["worlds"]:
        for name, row in [(name, row) for place, name, row in found if place == world]:
            seconds = metrics[world]["seconds"][name]
            numbers = " | ".join(f"{row[score]:.3f}" for score in SHOWN)
            lines.append(f"| {world} | {name} | {numbers} | {seconds:.2f} |")
        for name in ("floor", "ceiling"):
            numbers = " | ".join(f"{metrics[world][name][score]:.3f}" for score in SHOWN)
            lines.append(f"| {world} | *{name}* | {numbers} | |")
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
    figures=(dictionary_frontier,),
    expect="Upper row: most variants reach a cosine near 1 close to the true L0 (grey "
    "line) and lose it where they are given too few or too many latents; the frozen "
    "decoder stays at the floor. Lower row: explained variance grows with L0 whether or "
    "not the features were found.",
)
