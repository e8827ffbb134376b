"""Does the ranking of dictionaries on SynthSAEBench carry over to other worlds?

Recipes are tuned on one generator: trees of one shape, one law of frequencies, values of
one kind. Here the variants of `synthsaebench` meet four worlds they were not tuned on:
independent features, strong correlation with heavy tails, deep narrow trees with parents
that come alone, and values of both signs with structured noise
(`synthetic.worlds.synthsaebench`). In each the dictionaries have latents for a quarter of
the features, and as many of them on as the most frequent quarter is at a time, rounded up;
data, budget and test are the same.

Whether the ranking carries over is open. The checks hold only what must be true: floors
below scores below ceilings, the statistics of each world, and the same samples for all
variants.

The small default (1 / 16 of every world) trains for 2,000 steps of 256 samples and ranks
early learning; rankings at full size may differ.

Run:     python -m experiments generalisation
Full:    python -m experiments generalisation --set part=1 --set samples=200_000_000
         --set batch_size=1024 --set learning_rate=3e-4 --set decay=0.0
         --set dead_after=1_024_000 --set gain=3e-4 --set n_samples=1_000_000
         (for an accelerator; hours, not measured)
Takes:   about 10 minutes on one of two cores, the other at work
Expect:  a table of scores and ranks; no published number
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.synthsaebench import competition
from experiments.synthsaebench.competition import CONTROL, Found, Settings
from figures.synthsaebench import generalisation as ranks_figure

STANDARD = "synthsaebench_v2"
WORLDS = (STANDARD, "independent", "correlated", "deep_trees", "signed")
RANKED = ("latent_f1", "mcc_dec", "explained_variance")
SHOWN = (*RANKED, "l0", "dead", "rare_f1")


def run(settings: Settings, seed: int, job: Job) -> Result:
    found = {
        world: competition.compete(world, settings, seed, job) for world in settings.worlds
    }
    learned = [name for name in settings.variants if name != CONTROL]
    arrays = {}
    for score in RANKED:
        values = [[of(one, name, score) for name in learned] for one in found.values()]
        arrays[f"score/{score}"] = np.array(values)
        arrays[f"rank/{score}"] = np.array([ranks(row) for row in values])
    metrics: dict[str, Any] = {
        "worlds": list(found),
        "variants": learned,
        "l0s": {world: list(one.l0s) for world, one in found.items()},
        "floor": {world: one.floor for world, one in found.items()},
        "ceilings": {world: one.ceilings for world, one in found.items()},
        "true_l0": {world: one.true_l0 for world, one in found.items()},
        "agreement": {
            score: agreement(arrays[f"rank/{score}"], list(found)) for score in RANKED
        },
    }
    checks = make_checks(settings, found)
    return Result(metrics, arrays, checks, table(settings, found, metrics))


def of(found: Found, variant: str, score: str) -> float:
    """The mean over L0s and seeds, as exported."""
    return float(found.scores[f"{variant}/exported/{score}"].mean())


def ranks(values: list[float]) -> np.ndarray:
    """1 for the highest; ties share the mean of their ranks."""
    return stats.rankdata(-np.asarray(values))


def agreement(ranked: np.ndarray, worlds: list[str]) -> dict[str, float]:
    """Kendall's tau of each world's ranking with that of the standard world.

    1 is the same order, -1 the opposite one; 0 on average for a random one.
    """
    if STANDARD not in worlds:
        return {}
    standard = ranked[worlds.index(STANDARD)]
    return {
        world: float(np.asarray(stats.kendalltau(standard, row))[0])
        for world, row in zip(worlds, ranked, strict=True)
        if world != STANDARD
    }


def make_checks(settings: Settings, found: dict[str, Found]) -> list[Check]:
    """What must be true in every world."""
    checks = []
    chance, form = "the same score of random directions", "closed form"
    learned = [name for name in settings.variants if name != CONTROL]
    for world, one in found.items():
        true_l0 = one.ceilings["true directions"]["true_l0"]
        for score in ("latent_f1", "mcc_dec"):
            values = np.array([of(one, name, score) for name in learned])
            gap = float(values.min() - one.floor[score])
            checks.append(
                Check.at_least(f"{world}: least {score} above the floor", gap, 0.0, chance)
            )
        checks += [
            Check.within(
                f"{world}: true L0 of the test over that in closed form",
                true_l0 / one.true_l0,
                0.96,
                1.04,
                form,
            ),
            Check.at_least(
                f"{world}: explained variance that hedging adds to perfect codes",
                hedging_gain(one),
                -1e-6,
                "least squares is no worse; without a hierarchy it is the same",
            ),
        ]
    return checks


def hedging_gain(found: Found) -> float:
    true, hedged = (
        found.ceilings[f"{name} directions"]["explained_variance"]
        for name in ("true", "hedged")
    )
    return hedged - true


def table(settings: Settings, found: dict[str, Found], metrics: dict) -> list[str]:
    """Scores by world, one line per variant, then how rankings agree."""
    lines = []
    for world, one in found.items():
        title = f"{world}, L0 {', '.join(f'{l0:g}' for l0 in one.l0s)}"
        lines += ["", f"{title:<34}" + "".join(f"{name:>20}" for name in SHOWN)]
        for name, row in {"random directions": one.floor, **one.ceilings}.items():
            lines.append(f"{name:<34}" + "".join(f"{row[s]:>20.3f}" for s in SHOWN))
        for name in settings.variants:
            row = [of(one, name, score) for score in SHOWN]
            lines.append(f"{name:<34}" + "".join(f"{value:>20.3f}" for value in row))
    lines += ["", f"Kendall's tau with the ranking on {STANDARD}:"]
    for score, values in metrics["agreement"].items():
        shown = ", ".join(f"{world} {tau:+.2f}" for world, tau in values.items())
        lines.append(f"  {score:<20}{shown}")
    return lines


SETTINGS = replace(
    Settings(),
    worlds=WORLDS,
    part=16,
    l0s=(),
    n_seeds=2,
    samples=2_000 * 256,
    batch_size=256,
    learning_rate=3e-3,
    decay=0.3,
    dead_after=50_000,
    gain=2e-2,
    n_samples=1 << 15,
)
EXPERIMENT = Experiment(
    name="generalisation",
    question="Does the ranking of dictionaries on SynthSAEBench carry over?",
    source="no paper; the worlds are those of `synthetic.worlds.synthsaebench`",
    minutes=10,
    settings=SETTINGS,
    quick=replace(
        SETTINGS,
        worlds=(STANDARD, "independent"),
        variants=("BatchTopK", "Matryoshka", "matching pursuit"),
        n_seeds=1,
        samples=300 * 256,
        n_samples=1 << 14,
    ),
    run=run,
    figures=(ranks_figure,),
    expect="Lines join a variant's ranks in the five worlds; flat lines mean that the "
    "ranking carries over, crossings that it does not. Nothing is published to compare.",
)
