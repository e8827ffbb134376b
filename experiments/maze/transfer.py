"""Do dictionaries that were fitted to mazes of one kind find the connections of another?

The player stays the same (trained on Kruskal's mazes); what differs is whose mazes the
dictionaries see. TopK dictionaries are fitted to the stream where the list of connections
is read, as in `maze_dictionaries`, once for each law of mazes. Each connection gets its
latent and its threshold on training mazes of that law, and the F1 of held-out mazes is
taken for every law, with the dictionary's own scaling: nothing is fitted again. Which
place, layer and k is decided on training mazes.

Laws differ in which mazes are likely (long corridors, many forks) and in how often each
connection is open; "corridors" have no forks at all and often fewer connections. The rest
of their list is padding, which the player never saw inside a list: part of what is lost on
corridors may be that. The layout is the player's, of a spanning tree, so that mazes with
loops do not fit in.

Run:     python -m experiments maze_transfer
Takes:   about 3 minutes on one of two cores, the other at work
Expect:  connections are found whoever draws the maze: dictionaries of trees with forks have
         a mean F1 of 0.89 to 0.92 on each other's mazes and lose 0.05 on corridors; one of
         corridors has 0.88 everywhere. Before training 0.37 to 0.42 (seed 0, all checks
         pass; the checks were settled before this run)
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.maze import dictionaries
from experiments.maze.dictionaries import Settings
from figures.maze import maze_transfer as figure
from synthetic import Stored, random
from synthetic.maze import DepthFirst, Hallway, Kruskal, MazeGame, Wilson, holdout
from synthetic.maze.generate import Law
from toymodels import pretrained, transformer
from toymodels.maze import listing, presets
from toymodels.maze.listing import Listed
from toymodels.scores import detection
from toymodels.scores.detection import Sample
from toymodels.transformer import Transformer

LAWS: dict[str, Callable[[int], Law]] = {
    "Kruskal": Kruskal,
    "depth-first": DepthFirst,
    "Wilson": Wilson,
    "corridors": Hallway,
}
MODELS = ("trained", "before training")


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_control, key_fit, key_mazes, key_draws = jax.random.split(random.key(seed), 4)
    preset, trained, _ = pretrained.load(settings.player)
    games = {name: game(preset.game, law) for name, law in LAWS.items()}
    scores: dict[str, dict[str, Any]] = {}
    for name, model in zip(MODELS, (trained, preset.init(key_control)), strict=True):
        with job.stage(f"rows, {name}"):
            lists = {
                law: read(key_mazes, model, of, settings.n_mazes)
                for law, of in games.items()
            }
        scores[name] = {}
        for law in LAWS:
            with job.stage(f"{name}, {law}"):
                samples = joined(lists[law][0], [test for _, test in lists.values()])
                codes = dictionaries.encoded(
                    key_fit, samples, settings, job, f"{name}, {law}"
                )
                scores[name][law] = scored(key_draws, samples, codes, settings)
    arrays = {
        f"{name}/{score}": np.array([scores[name][law][score] for law in LAWS])
        for name in MODELS
        for score in ("f1", "corrected", "probe")
    }
    metrics = {"player": settings.player, "laws": list(LAWS), "scores": scores}
    return Result(metrics, arrays, make_checks(arrays), table(metrics))


def game(of_player: MazeGame, law: Callable[[int], Law]) -> MazeGame:
    """Training mazes of another law in the player's layout."""
    training, _ = holdout.split(law(of_player.layout.size), presets.HELD_OUT)
    return replace(of_player, law=training)


def read(
    key: Key[Array, ""], model: Transformer, game: MazeGame, n_mazes: int
) -> tuple[Listed, Listed]:
    """The stream of training and of held-out mazes."""
    key_train, key_test = jax.random.split(jax.random.clone(key))
    test = presets.held_out(game)
    return (
        listing.read(key_train, model, game, n_mazes),
        listing.read(key_test, model, test, n_mazes),
    )


def joined(train: Listed, tests: list[Listed]) -> list[tuple[Stored, Stored]]:
    """Rows of training mazes and of all laws' held-out mazes, one law after the other, at
    each place after each layer; all scaled as the training mazes are.
    """
    by = listing.scaling(train)
    every = Listed(
        jnp.concatenate([test.x for test in tests], axis=2),
        jnp.concatenate([test.connection for test in tests]),
    )
    scaled = [listing.scaled(listed, by) for listed in (train, every)]
    n_places, n_sites = train.x.shape[:2]
    after_layers = [transformer.site(layer, "mlp") for layer in range(n_sites // 2)]
    return [
        (scaled[0].rows(place, site), scaled[1].rows(place, site))
        for place in range(n_places)
        for site in after_layers
    ]


def scored(
    key: Key[Array, ""],
    samples: list[tuple[Stored, Stored]],
    codes: list[tuple[Array, Array]],
    settings: Settings,
) -> dict[str, Any]:
    """The best dictionary on training mazes, and its scores on held-out mazes of each law:
    mean F1 with its interval, the same corrected for chance, and the share of listed
    connections that a ridge regression of the same rows names right (`probe`).
    """
    counts = [
        detection.count(Sample(of_train, samples[i // len(settings.ks)][0].features))
        for i, (of_train, _) in enumerate(codes)
    ]
    best = max(range(len(codes)), key=lambda i: detection.as_published(counts[i]))
    detectors = detection.select(counts[best])
    train, test = samples[best // len(settings.ks)]
    found: dict[str, Any] = {"best": best, "f1": [], "corrected": [], "probe": []}
    of_law = len(test.x) // len(LAWS)
    for start in range(0, len(test.x), of_law):
        here = slice(start, start + of_law)
        rows = Stored(test.x[here], test.features[here])
        held_out = Sample(codes[best][1][here], rows.features)
        score = detection.corrected(jax.random.clone(key), detectors, held_out)
        found["f1"].append(tuple(score["coverage"]))
        found["corrected"].append(tuple(score["corrected"]))
        found["probe"].append(dictionaries.dense(train, rows))
    return found


def make_checks(arrays: dict[str, np.ndarray]) -> list[Check]:
    """That what is found at home is found elsewhere, and is the training's doing."""
    trained, before = (arrays[f"{name}/f1"] for name in MODELS)
    return [
        Check.at_least(
            "Kruskal's dictionary at home: mean F1, held out",
            float(trained[0, 0, 0]),
            0.88,
            dictionaries.STATED,
        ),
        Check.at_least(
            "least F1 from a law to a law, above the largest before training "
            "(ends of 95 % intervals)",
            float(trained[..., 1].min() - before[..., 2].max()),
            0.0,
            "stated: transfer across generators; the control is the model before training",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """F1 (corrected for chance) of held-out mazes: fitted to, tested on."""
    laws = metrics["laws"]
    lines = []
    for name in MODELS:
        lines.append(f"{name:<26}" + "".join(f"{law:>18}" for law in laws))
        for law in laws:
            of = metrics["scores"][name][law]
            texts = (
                f"{f1[0]:.3f} ({corrected[0]:.3f})"
                for f1, corrected in zip(of["f1"], of["corrected"], strict=True)
            )
            lines.append(f"{law:<26}" + "".join(f"{text:>18}" for text in texts))
            probes = "".join(f"{value:>18.3f}" for value in of["probe"])
            lines.append(f"{'  ridge regression':<26}" + probes)
    lines.append(
        "mean F1 (corrected for chance), held-out mazes; rows: fitted to; ridge "
        "regression: share of listed connections named right"
    )
    return lines


EXPERIMENT = Experiment(
    name="maze_transfer",
    question="Do dictionaries of one kind of mazes find the connections of another?",
    source="stated goal; Spies et al. 2024, arXiv 2412.11867",
    minutes=3,
    settings=Settings(ks=(1.0,)),
    quick=Settings(ks=(1.0,), steps=200, n_mazes=300),
    run=run,
    figures=(figure,),
    expect="One table per model: the F1 of dictionaries fitted to one law's mazes on "
    "held-out mazes of another. If connections are found whoever draws the maze, rows "
    "differ little.",
)
