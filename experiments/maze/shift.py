"""Does a maze player that learned one kind of mazes solve another?

Players of 3 x 3 cells, each trained on the mazes of one generator, walk through held-out
mazes of all of them. A maze is held out whoever draws it (`synthetic.maze.holdout`), so
that no cell of the table is an echo of training. Corridors have no forks: a player of them
never had to choose. Percolated mazes have loops; the path has to be a shortest one. The
layout has a slot for every connection, so that all mazes fit all players.

The check is asked of players that are done: after a quarter of the steps or less a player
is no better at home, where mazes are larger than the smallest of the others. So a quick run
has none.

Run:     python -m experiments maze_shift
Takes:   12 minutes on one of two cores
Expect:  paths exact at home: Kruskal 82 %, depth-first 68, corridors 66, percolated 79.
         Elsewhere players of Kruskal's mazes keep 61 % or more, and those of percolated
         ones walk Kruskal's as well as players trained on these (84 %). On smaller mazes
         players of corridors do better (86 %), those of percolated ones worst (38 %):
         their lists were never so short (seed 0, all checks pass; depth-first by 0.9
         points, corridors by 0.2)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import jax
import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import OneOf
from figures.maze import maze_shift as figure
from synthetic import random
from synthetic.maze import (
    DepthFirst,
    Hallway,
    Kruskal,
    MazeGame,
    Percolated,
    holdout,
    lattice,
    shift,
)
from synthetic.maze.generate import Law
from toymodels.maze import presets, walks

LAWS: dict[str, Callable[[int], Law]] = {
    "Kruskal": Kruskal,
    "depth-first": DepthFirst,
    "corridors": Hallway,
    "percolated": lambda size: Percolated(DepthFirst(size), 0.1),
}
SMALLER = "Kruskal, smaller"
TESTS = (*LAWS, SMALLER)


@dataclass(frozen=True)
class Settings:
    """Attributes:
    size: cells in a row.
    trained_on: names of this module's LAWS.
    steps: updates of 32 mazes each.
    n_mazes: of each test.
    """

    size: int = 3
    trained_on: Annotated[tuple[str, ...], OneOf(lambda: LAWS)] = (
        "Kruskal",
        "depth-first",
        "corridors",
        "percolated",
    )
    steps: int = 3_000
    n_mazes: int = 1_024


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train, key_test = jax.random.split(random.key(seed))
    tests = {name: held_out(name, settings.size) for name in TESTS}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for name in settings.trained_on:
        preset = replace(
            presets.tiny(), game=game(name, settings.size), n_steps=settings.steps
        )
        with job.stage(f"trained on {name}"):
            model, _ = preset.train(
                jax.random.clone(key_train),
                chunk=max(1, settings.steps // 20),
                progress=job.progress(name, settings.steps),
                checkpoints=job.checkpoints(name.replace(" ", "_")),
            )
        with job.stage(f"tests of {name}"):
            scores[name] = {
                other: walks.evaluate(
                    jax.random.clone(key_test), model, of, settings.n_mazes
                )
                for other, of in tests.items()
            }
    metrics: dict[str, Any] = {"scores": scores, "tests": list(TESTS)}
    arrays = {
        score: np.array([[scores[a][b][score] for b in TESTS] for a in scores])
        for score in ("exact", "solved", "valid", "reached")
    }
    trained = settings.steps >= Settings.steps
    checks = make_checks(metrics) if trained else []
    return Result(metrics, arrays, checks, table(metrics))


def game(name: str, size: int) -> MazeGame:
    """Training mazes of a law, in a layout with room for all connections."""
    training, _ = holdout.split(LAWS[name](size), presets.HELD_OUT)
    return MazeGame.of(training, n_listed=lattice.n_connections(size))


def held_out(name: str, size: int) -> MazeGame:
    """Mazes that no game of this module trains on, in the same layout."""
    if name != SMALLER:
        return presets.held_out(game(name, size))
    law = shift.Within(Kruskal(size - 1), size, row=None, column=None)
    _, test = holdout.split(law, presets.HELD_OUT)
    return replace(game("Kruskal", size), law=test)


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """Players are at home on their own mazes."""
    scores = metrics["scores"]
    found = []
    for name in scores:
        exact = {other: of["exact"] for other, of in scores[name].items()}
        elsewhere = np.mean([value for other, value in exact.items() if other != name])
        found.append(
            Check.at_least(
                f"{name}: exact paths at home, above the mean elsewhere",
                float(exact[name] - elsewhere),
                0.0,
                "what a shift of distribution means",
            )
        )
    return found


def table(metrics: dict[str, Any]) -> list[str]:
    """Exact paths (solved mazes) of held-out mazes: trained on, tested on."""
    tests = metrics["tests"]
    lines = [f"{'trained on':<14}" + "".join(f"{name:>18}" for name in tests)]
    for name, row in metrics["scores"].items():
        texts = (f"{row[o]['exact']:.1%} ({row[o]['solved']:.1%})" for o in tests)
        lines.append(f"{name:<14}" + "".join(f"{text:>18}" for text in texts))
    lines.append("exact paths (solved by any way), held-out mazes")
    return lines


EXPERIMENT = Experiment(
    name="maze_shift",
    question="Does a maze player that learned one kind of mazes solve another?",
    source="stated goal; Ivanitskiy et al. 2023, arXiv 2312.02566, for 6 x 6 cells",
    minutes=12,
    settings=Settings(),
    quick=Settings(trained_on=("corridors",), steps=400, n_mazes=256),
    run=run,
    figures=(figure,),
    expect="Players are at home on their own mazes; a player of corridors fails where "
    "there are forks.",
)
