"""Do latents at one token hold the maze that linear probes read there?

At <PATH_START>, and at the end of the list before it, a probe reads most connections of the
whole maze (`maze_world_model`). Here TopK dictionaries are fitted to the stream at these
two tokens, after every layer, one row for each maze, around the mean row. Each connection
gets its best latent and its threshold on training mazes; the F1 is of held-out ones.

A latent may stand for an open connection or for the wall in its place, so both are asked
for. More than half of all connections are open, and a latent that is always on has an F1 of
0.77 for them and of 0.55 for walls; corrected scores are 0 there and 1 where each has a
latent of its own. Ceiling: the answers of a ridge regression on the same rows, with
thresholds chosen as those of latents. If it scores high and latents do not, the maze is
there and spread over latents. Floor: the model before training.

Run:     python -m experiments maze_path_start
Takes:   about 3 minutes on one of two cores, the other at work
Expect:  probes read the open connections, with a corrected F1 of 0.63 at the end of the
         list (0.56 before training) and 0.48 at <PATH_START>; single latents do not hold
         them: at best -0.22, and 0.09 for walls, against -0.21 and 0.15 before training. So
         three of the four checks fail (seed 1): the effect reported for larger models does
         not appear in this player. A first run (seed 0) had k = 4 and 12, fewer than the 15
         open connections, and asked for open connections alone: both checks failed
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.maze import dictionaries, world_model
from experiments.maze.dictionaries import Settings
from figures.maze import maze_path_start as figure
from synthetic import Stored, random
from synthetic.maze import MazeGame
from toymodels import pretrained, transformer
from toymodels.maze import presets
from toymodels.maze.residual import MazeResidual
from toymodels.scores import detection
from toymodels.scores.detection import Sample
from toymodels.transformer import Transformer

MODELS = ("trained", "before training")
KINDS = ("open", "wall")
STATED = "stated: chance-corrected; the control is the model before training"
AT_ONCE = 1_024


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = jax.random.split(random.key(seed), 4)
    key_control, key_mazes, key_fit, key_draws = keys
    preset, trained, _ = pretrained.load(settings.player)
    games = preset.game, presets.held_out(preset.game)
    scores: dict[str, dict[str, Any]] = {}
    for name, model in zip(MODELS, (trained, preset.init(key_control)), strict=True):
        with job.stage(f"rows, {name}"):
            samples = read(key_mazes, model, games, settings.n_mazes)
        with job.stage(f"dictionaries, {name}"):
            codes = dictionaries.encoded(key_fit, samples, settings, job, name)
        with job.stage(f"scores, {name}"):
            scores[name] = scored(key_draws, samples, codes)
    arrays = {
        f"{name}/{kind}/{part}": np.array([row["corrected"] for row in of[part]])
        for name in MODELS
        for kind, of in scores[name].items()
        for part in ("rows", "probes")
    }
    metrics = {
        "player": settings.player,
        "members": dictionaries.members(
            trained, settings, world_model.places(preset.game.layout)
        ),
        "scores": scores,
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def read(
    key: Key[Array, ""], model: Transformer, games: tuple[MazeGame, MazeGame], n_mazes: int
) -> list[tuple[Stored, Stored]]:
    """Rows of training and of held-out mazes, at each place after each layer, around the
    mean of the training rows and in units of the root of their mean square.
    """
    keys = jax.random.split(jax.random.clone(key))
    sites = np.array([transformer.site(layer, "mlp") for layer in range(model.n_layers)])
    pairs = []
    for token in world_model.places(games[0].layout).values():
        (train, of_train), (test, of_test) = (
            streams(jax.random.clone(one), MazeResidual(game, model, token), n_mazes)
            for one, game in zip(keys, games, strict=True)
        )
        train, test = train[sites], test[sites]
        mean = train.mean(axis=1, keepdims=True)
        size = jnp.sqrt(jnp.square(train - mean).mean(axis=(1, 2), keepdims=True) + 1e-12)
        train, test = ((x - mean) / size for x in (train, test))
        pairs += [
            (Stored(x, of_train), Stored(y, of_test))
            for x, y in zip(train, test, strict=True)
        ]
    return pairs


def streams(
    key: Key[Array, ""], world: MazeResidual, n_mazes: int
) -> tuple[Float[Array, "site maze d_model"], Array]:
    """The stream of `n_mazes` mazes, rounded up to whole blocks, and their connections."""
    block = min(AT_ONCE, n_mazes)
    keys = jax.random.split(key, -(-n_mazes // block))
    x, present = zip(*(draw(world, one, block) for one in keys), strict=True)
    return jnp.concatenate(x, axis=1), jnp.concatenate(present) > 0


@partial(jax.jit, static_argnames="block")
def draw(world: MazeResidual, key: Key[Array, ""], block: int) -> tuple[Array, Array]:
    """The stream of one block of mazes."""
    return world.streams(key, block)


def scored(
    key: Key[Array, ""],
    samples: list[tuple[Stored, Stored]],
    codes: list[tuple[Array, Array]],
) -> dict[str, Any]:
    """For open connections and for walls: one row per dictionary, and one per pair of
    samples of what a ridge regression reads; both choose their thresholds in the same way.
    Which dictionary is best is decided on the training mazes.
    """
    found = {}
    n_ks = len(codes) // len(samples)
    answers = [read_all(*pair) for pair in samples]
    for kind in KINDS:
        truths = [(of_kind(kind, train), of_kind(kind, test)) for train, test in samples]
        rows = [
            score(jax.random.clone(key), both, truths[i // n_ks])
            for i, both in enumerate(codes)
        ]
        probes = [
            score(jax.random.clone(key), (turned(kind, train), turned(kind, test)), truth)
            for (train, test), truth in zip(answers, truths, strict=True)
        ]
        best = max(range(len(rows)), key=lambda i: rows[i]["train"])
        found[kind] = {"rows": rows, "best": best, "probes": probes}
    return found


def read_all(train: Stored, test: Stored) -> tuple[Array, Array]:
    """Answers of a ridge regression on all of x, for both samples."""
    answer = dictionaries.ridge_answers(train)
    return jnp.asarray(answer(train), jnp.float32), jnp.asarray(answer(test), jnp.float32)


def turned(kind: str, answers: Array) -> Array:
    """The answers for open connections, or one less them for walls; not below 0."""
    return jnp.maximum(answers if kind == "open" else 1 - answers, 0)


def of_kind(kind: str, rows: Stored) -> Array:
    """[maze, connection]: whether it is open, or a wall."""
    return rows.features if kind == "open" else ~rows.features


def score(
    key: Key[Array, ""], codes: tuple[Array, Array], truth: tuple[Array, Array]
) -> dict[str, Any]:
    """Latents chosen on training mazes, scored on held-out ones."""
    counts = detection.count(Sample(codes[0], truth[0]))
    chosen = detection.select(counts)
    found = detection.corrected(key, chosen, Sample(codes[1], truth[1]))
    return {
        "train": detection.as_published(counts),
        "f1": tuple(found["coverage"]),
        "corrected": tuple(found["corrected"]),
        "latents": len(np.unique(chosen.latent)),
    }


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """Latents are better than one that is always on, and better than before training."""
    checks = []
    for kind in KINDS:
        of = {name: metrics["scores"][name][kind] for name in MODELS}
        trained, before = (of[n]["rows"][of[n]["best"]]["corrected"] for n in MODELS)
        checks += [
            Check.at_least(
                f"{kind}: best corrected F1, held out (low end of the interval)",
                trained[1],
                0.0,
                f"{STATED}; a latent that is always on has 0",
            ),
            Check.at_least(
                f"{kind}: clear of the model before training (ends of 95 % intervals)",
                trained[1] - before[2],
                0.0,
                STATED,
            ),
        ]
    return checks


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per dictionary, then per probe: F1 (corrected for chance), by model."""
    columns = [(name, kind) for name in MODELS for kind in KINDS]
    lines = [
        f"{'place, layer, k':<24}"
        + "".join(f"{f'{name}, {kind}':>24}" for name, kind in columns)
    ]
    members = metrics["members"]
    n_probes = len(metrics["scores"]["trained"]["open"]["probes"])
    labels = {"rows": [f"{place}, {layer}, {k:g}" for place, layer, k in members]}
    labels["probes"] = [
        f"ridge, {place}, {layer}"
        for place, layer, _ in members[:: len(members) // n_probes]
    ]
    for part, names in labels.items():
        for i, label in enumerate(names):
            texts = []
            for name, kind in columns:
                of = metrics["scores"][name][kind]
                row = of[part][i]
                mark = "*" if part == "rows" and of["best"] == i else " "
                texts.append(f"{row['f1'][0]:.3f} ({row['corrected'][0]:+.3f}){mark}")
            lines.append(f"{label:<24}" + "".join(f"{text:>24}" for text in texts))
    lines.append("mean F1 (corrected for chance); * best on training mazes")
    return lines


EXPERIMENT = Experiment(
    name="maze_path_start",
    question="Do latents at one token hold the maze that linear probes read there?",
    source="Ivanitskiy et al. 2023, arXiv 2312.02566; Spies et al. 2024, arXiv 2412.11867",
    minutes=3,
    settings=Settings(ks=(8.0, 16.0, 32.0), steps=1_000, n_mazes=4_096),
    quick=Settings(ks=(16.0,), steps=200, n_mazes=1_024),
    run=run,
    figures=(figure,),
    expect="Points: F1 of single latents, corrected for chance, by token, layer and k, for "
    "open connections and for walls; bars: what a linear probe reads from the same rows.",
)
