"""Does a transformer that solves mazes hold the whole maze at one token, and where?

Ivanitskiy et al. 2023 (arXiv 2312.02566) and Spies et al. 2024 (arXiv 2412.11867) asked it
of mazes up to 7 x 7. Here a small model reads the connections of a spanning tree in random
order, an origin and a target, and writes the path. A tenth of all mazes is never trained
on; every score is on those. It walks by itself, greedily, and linear probes read every
connection from one token: the end of the list, or <PATH_START>, where the walk begins.

The probes are exact (ridge regression in closed form), fitted on training mazes, and so are
those of the control, the same model before training. The end of the list and <PATH_START>
are the same words in every maze, so that at the embedding a probe can only know how often a
connection is open: (n + 1) / 2n of all are, which is the base rate.

The goals are those stated for 4 x 4 mazes, 85 % of paths exact and 85 % of connections
read; they are asked of the 3 x 3 player as well. It meets both on each of seeds 0, 1 and 2:
96, 90 and 97 % of held-out paths are exact, 90, 91 and 95 % of connections are read. The
second says little by itself, since probes of the untrained model read 87 %: the list goes
through one attention, and what an exact probe finds there is most of a small maze. The
check therefore asks that training adds something. <PATH_START>, where larger models were
read in the publications, tells 79, 85 and 89 % of connections, 82 to 84 % in the control:
here the published effect is there on two seeds of three. The 3 x 3 player once learned from
batches of 64, for half as many updates, and had 75 % of paths exact on seed 0; trials on
seeds 200 and 201 led to batches of 32.

The 4 x 4 player (`--set player=maze_small`, half an hour) meets both goals on each of seeds
0, 1 and 2: 86, 89 and 87 % of paths exact; 92, 91 and 92 % of connections read, 88 % before
training (probes of 16,384 mazes, scored on 8,192). On seed 2 the best place is
<PATH_START>, as in the publications: 92 %, 83 % in the control. On seed 1 it reads 84 %,
one point above.

The 5 x 5 player (`--set player=maze_medium --set n_rows=16384 --set n_test=8192`, 70
minutes of training on one core, other work beside; one seed, 0) has 92 % of paths exact. No
token of it holds the maze for a linear probe better than the untrained model does: 85.8 %
of connections at the end of the list, 85.7 % before training; 78 % at <PATH_START>, 82 %
before training. It finds paths, then, without a list of connections at one place, or with
one that no matrix reads. What was published of <PATH_START> is not there.

Run:     python -m experiments maze_world_model
Larger:  python -m experiments maze_world_model --set player=maze_full, 6 x 6 cells, on an
         accelerator; it was not run
Takes:   two minutes on two cores
Expect:  96 % of paths exact on held-out mazes; 90 % of connections read at the end of the
         list, 86 % in the control; 79 % at <PATH_START>, 82 % in the control
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import records
from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAZE_PLAYER, Within
from experiments.othello.world_model import site_names
from figures.maze import maze_probes
from synthetic import random
from synthetic.maze import MazeGame, holdout, lattice
from synthetic.maze.tokens import Layout
from toymodels import pretrained
from toymodels.maze import presets
from toymodels.maze import walks as maze_paths
from toymodels.maze.residual import MazeResidual
from toymodels.transformer import Transformer, next_token, probes

STORED = np.float16
STATED = "stated goal for 4 x 4 mazes"
COUNT = "closed form: (n + 1) / 2n"
CLAIM = "the claim itself: more is read than before training"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: of `toymodels.pretrained`; its preset is trained.
    steps: updates; 0 for as many as the preset has.
    n_mazes: held-out mazes that are walked.
    n_rows, n_test: mazes for the probes, and for their scores.
    ridge: of the probes.
    n_drawn: mazes that are drawn.
    """

    player: Annotated[str, MAZE_PLAYER] = "maze_tiny"
    steps: Annotated[int, Within(0)] = 0
    n_mazes: int = 1_024
    n_rows: int = 4_096
    n_test: int = 4_096
    ridge: float = 1e-4
    n_drawn: int = 3


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train = random.key(seed)
    keys = jax.random.split(random.named(jax.random.clone(key_train), "measured"), 6)
    key_loss, key_walks, key_control, key_probes, key_shared, key_drawn = keys
    preset = pretrained.preset(settings.player)
    preset = replace(preset, n_steps=settings.steps or preset.n_steps)
    test = presets.held_out(preset.game)
    with job.stage("model"):
        model, history = preset.train(
            key_train,
            chunk=max(1, preset.n_steps // 40),
            progress=job.progress("maze model", preset.n_steps),
            checkpoints=job.checkpoints("model"),
        )
    model = pretrained.rounded(model, STORED)
    with job.stage("walks"):
        final = next_token.evaluate(key_loss, model, test, settings.n_mazes)
        walks = maze_paths.evaluate(key_walks, model, test, settings.n_mazes)
    models = {"trained": model, "control": preset.init(key_control)}
    with job.stage("probes"):
        found = {
            (name, place): probe(key_probes, preset.game, models[name], token, settings)
            for name in models
            for place, token in places(preset.game.layout).items()
        }
    scores = {
        name: {place: found[name, place][0] for place in places(preset.game.layout)}
        for name in models
    }
    metrics: dict[str, Any] = {
        "size": preset.game.layout.size,
        "finished": settings.steps == 0,
        "final": final,
        "walks": walks,
        "sites": site_names(model.n_sites),
        "scores": scores,
        "shared": shared(key_shared, preset.game, test, settings.n_test),
    }
    place, site = best(scores["trained"])
    metrics |= {"best_place": place, "best_site": site}
    arrays = {
        "step": history.step,
        **{f"curve/{name}": values for name, values in history.metrics.items()},
        **decoded(
            key_drawn, test, model, found["trained", place][1], place, site, settings
        ),
    }
    keep(model, metrics, settings, seed, job)
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def places(layout: Layout) -> dict[str, int]:
    """Tokens from which a whole maze may be read: all connections come before them."""
    return {"<ADJLIST_END>": layout.slots.stop, "<PATH_START>": layout.path_start}


def probe(
    key: jax.Array, game: MazeGame, model: Transformer, token: int, settings: Settings
) -> tuple[dict[str, list[float]], probes.Probes]:
    """Scores by site on held-out mazes, and the probes; the same mazes for every model."""
    key_fit, key_score = jax.random.split(jax.random.clone(key))
    world = MazeResidual(game, model, token)
    fitted = probes.fit(key_fit, world, settings.n_rows, settings.ridge)
    unseen = replace(world, game=presets.held_out(game))
    scores = probes.feature_scores(key_score, fitted, unseen, settings.n_test)
    of = {"connections": scores.accuracy.tolist(), "whole": scores.whole.tolist()}
    return of, fitted


def best(scores: dict[str, dict[str, list[float]]]) -> tuple[str, int]:
    """The place and the site where most connections are read."""
    place = max(scores, key=lambda place: max(scores[place]["connections"]))
    return place, int(np.argmax(scores[place]["connections"]))


def shared(key: jax.Array, training: MazeGame, test: MazeGame, n_mazes: int) -> int:
    """How many of `n_mazes` test mazes are among as many training mazes."""
    shown, asked = (
        np.asarray(jax.jit(game.law.draw, static_argnums=1)(k, n_mazes))
        for game, k in zip((training, test), jax.random.split(key), strict=True)
    )
    return int(holdout.is_shared(asked, shown).sum())


def decoded(
    key: jax.Array,
    game: MazeGame,
    model: Transformer,
    fitted: probes.Probes,
    place: str,
    site: int,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Connections [maze, 2, n, n], true and as the probe reads them; and true paths."""
    sequences = game.sample(key, settings.n_drawn)
    token = places(game.layout)[place]
    x = np.asarray(model(sequences.tokens).residual)[site, :, token]
    present = jnp.asarray(x @ fitted.W[site] + fitted.b[site] > 0.5)
    return {
        "mazes/true": np.asarray(sequences.maze.connections),
        "mazes/decoded": np.asarray(lattice.from_list(present, game.layout.size)),
        "mazes/path": np.asarray(sequences.maze.path),
    }


def keep(
    model: Transformer, metrics: dict[str, Any], settings: Settings, seed: int, job: Job
) -> None:
    """Writes the player beside the record, as `toymodels.pretrained` ships it."""
    steps = f" --set steps={settings.steps}" if settings.steps else ""
    place, site = metrics["best_place"], metrics["best_site"]
    card = {
        "command": "python -m experiments maze_world_model "
        f"--set player={settings.player}{steps} --seed {seed}",
        "seed": seed,
        "device": records.device(),
        "versions": records.versions(),
        "seconds": job.seconds["model"],
        "dtype": np.dtype(STORED).name,
        "metrics": metrics["walks"]
        | {"step": 1 - metrics["final"]["illegal_top1"]}
        | {"connections": metrics["scores"]["trained"][place]["connections"][site]}
        | {"best_place": place, "best_site": site},
    }
    pretrained.save(settings.player, model, card, job.directory, STORED)


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """What the model and its probes must reach.

    Exact paths, and what training adds, are asked of a player whose training went to its
    end; after a quarter of the steps 70 % of paths are exact and probes have lost a point.
    """
    read = {
        name: np.max([np.max(of["connections"]) for of in scores.values()])
        for name, scores in metrics["scores"].items()
    }
    base = (metrics["size"] + 1) / (2 * metrics["size"])
    embedding = metrics["scores"]["trained"]["<PATH_START>"]["connections"][0]
    gained = read["trained"] - read["control"]
    at_the_end = [
        Check.at_least("exact paths", metrics["walks"]["exact"], 0.85, STATED),
        Check.at_least("connections read: gained by training", gained, 0, CLAIM),
    ]
    return [
        *(at_the_end if metrics.get("finished", True) else []),
        Check.at_least("connections read", read["trained"], 0.85, STATED),
        Check.within("read at the embedding", embedding, base - 1e-3, base + 1e-3, COUNT),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """What the walks reach, then one line per site."""
    walks, scores = metrics["walks"], metrics["scores"]
    shown = ", ".join(f"{name} {share:.1%}" for name, share in walks.items())
    lines = [
        f"walks on held-out mazes: {shown}",
        f"single steps right: {1 - metrics['final']['illegal_top1']:.1%}",
        f"{'connections read':<18}" + "".join(f"{p:>26}" for p in scores["trained"]),
    ]
    for i, site in enumerate(metrics["sites"]):
        cells = (
            f"{of['connections'][i]:.3f} (control "
            f"{scores['control'][place]['connections'][i]:.3f})"
            for place, of in scores["trained"].items()
        )
        lines.append(f"{site:<18}" + "".join(f"{text:>26}" for text in cells))
    return lines


EXPERIMENT = Experiment(
    name="maze_world_model",
    question="Does a transformer that solves mazes hold the whole maze at one token, and "
    "where?",
    source="Ivanitskiy et al. 2023, arXiv 2312.02566; Spies et al. 2024, arXiv 2412.11867",
    minutes=2,
    settings=Settings(),
    # Not held to what only a trained player does: here exact paths are .70 for .85, and
    # training gains no connections (-.006), seed 0.
    quick=Settings(steps=1_000, n_mazes=512, n_rows=4_096, n_test=4_096),
    run=run,
    figures=(maze_probes,),
    expect="The loss falls, first as the model learns what a list looks like, then as it "
    "finds paths. What probes read rises from the base rate at the embedding; the control "
    "says how much of it an untrained model carries. Mazes as the probe reads them are the "
    "true ones but for the marked connections.",
)
