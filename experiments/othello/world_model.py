"""Does a transformer that reads moves of Othello keep the board, and where?

Li et al. 2023 (arXiv 2210.13382) and Nanda et al. 2023 (arXiv 2309.00941) asked it of 8 x 8
squares. Here a two-layer model learns 4 x 4 squares (`othello_tiny`), or a four-layer one
6 x 6 (`othello_small`), on the exact distribution of the next move of random games: its
loss has a known floor, the mean log number of legal moves. Linear probes read the board,
the legal moves and the last flips at every site of its residual stream. The run leaves the
model beside its record, rounded to float16, which is what everything is measured on.

The probes are exact (ridge regression in closed form), and so are those of two controls:
the same model before training, and the moves themselves (which were played, which was the
last, how many there were), without any model. On 4 x 4 squares both read 82 to 83 %: an
untrained model holds the moves, and that much of the board is linear in them. Training
adds four points there, and 26 to the F1 of legal moves. Published controls are far lower
(35 % on 8 x 8 squares, 64 % in an earlier run on 4 x 4); their probes were fitted by
gradient steps. How far such a probe gets here was not tested.

The goal for squares, 15 points above the control, is not met on 4 x 4, and its check fails.
The gap depends on the ridge: about 4 points from 1e-6 to 1e-3, 9 at 0.1, 12.5 at 1; no
ridge tried reaches 15. The band for legal moves was set after looking at seed 0; seeds 1
and 2, run afterwards, agree (26 points each, and 4 for squares).

Run:     python -m experiments othello_world_model
Small:   python -m experiments othello_world_model --set player=othello_small
Full:    python -m experiments othello_world_model --set player=othello_full, on an
         accelerator; not run
Takes:   half a minute on two cores; the small one took 48 minutes of a core at low
         priority on a busy machine, at 9 s per 100 of its 20,000 steps when undisturbed
Expect:  1.6 % of first choices illegal; legal moves read with F1 0.92, 0.67 in the control;
         87 % of squares read, 83 % in the controls. Small: 1.3 % illegal; F1 0.93, 0.31
         before training and 0.63 from the moves alone; 93.5 % of squares, 78 and 79 %
         (seed 0 alone)
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import jax
import numpy as np

from experiments.harness import records
from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import OTHELLO_PLAYER, Within
from figures.othello import othello_boards, othello_probes
from synthetic import random
from synthetic.othello import labels, positions
from toymodels import pretrained
from toymodels.othello import board_scores
from toymodels.othello.residual import OthelloMoves, OthelloResidual
from toymodels.transformer import Transformer, next_token, probes

FAMILIES = (*board_scores.BOARD, "legal", "flipped")
STORED = np.float16
SIMULATION = "mean log number of legal moves by an independent simulator"
TRAINING = "as many points as the goal for squares; chosen after seeing seed 0"
STATED = "stated goal"
# Entropy floor in nats, and the goals: first choices that are illegal, squares read, and
# squares read above a model before training.
GOALS: dict[str, dict[str, float]] = {
    "othello_tiny": {"floor": 0.8328, "illegal": 0.03, "gained": 0.15},
    "othello_small": {"floor": 1.5353, "illegal": 0.015, "squares": 0.92},
    "othello_full": {"floor": 2.0105, "illegal": 0.005, "squares": 0.99},
}


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: of `toymodels.pretrained`; its preset is trained.
    steps: updates; 0 for as many as the preset has.
    n_sequences: games on which the final losses rest.
    n_rows, n_test: positions for the probes, and for their scores.
    ridge: of the probes.
    n_games: games whose boards are drawn.
    """

    player: Annotated[str, OTHELLO_PLAYER] = "othello_tiny"
    steps: Annotated[int, Within(0)] = 0
    n_sequences: int = 8_192
    n_rows: int = 65_536
    n_test: int = 32_768
    ridge: float = 1e-4
    n_games: int = 4


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train = random.key(seed)
    keys = jax.random.split(random.named(jax.random.clone(key_train), "measured"), 4)
    key_control, key_loss, key_probes, key_boards = keys
    preset = pretrained.preset(settings.player)
    preset = replace(preset, n_steps=settings.steps or preset.n_steps)
    with job.stage("model"):
        model, history = preset.train(
            key_train,
            chunk=max(1, preset.n_steps // 40),
            progress=job.progress("Othello model", preset.n_steps),
            checkpoints=job.checkpoints("model"),
        )
    model = pretrained.rounded(model, STORED)
    with job.stage("losses"):
        final = next_token.evaluate(key_loss, model, preset.game, settings.n_sequences)
    models = {"trained": model, "control": preset.init(key_control)}
    scores, fitted = {}, {}
    with job.stage("probes"):
        for name in models:
            world = OthelloResidual(
                preset.game, models[name], FAMILIES, slots=preset.game.n_tokens
            )
            scores[name], fitted[name] = probe(key_probes, world, settings)
        moves = OthelloMoves(preset.game, FAMILIES, slots=preset.game.n_tokens)
        scores["moves"], _ = probe(key_probes, moves, settings)
    best = int(np.argmax(scores["trained"]["squares"]))
    metrics: dict[str, Any] = {
        "final": final,
        "floor": final["cross_entropy"] - final["excess"],
        "best_site": best,
        "sites": site_names(model.n_sites),
        "scores": {
            name: {k: v.tolist() for k, v in of.items() if v.ndim == 1}
            for name, of in scores.items()
        },
    }
    arrays = {
        "step": history.step,
        **{f"curve/{name}": values for name, values in history.metrics.items()},
        **{f"{name}/{k}": v for name, of in scores.items() for k, v in of.items()},
        **boards(key_boards, preset.game, model, fitted["trained"], best, settings.n_games),
    }
    keep(model, metrics, settings, seed, job)
    checks = make_checks(metrics, GOALS[settings.player])
    return Result(metrics, arrays, checks, table(metrics))


def keep(
    model: Transformer, metrics: dict[str, Any], settings: Settings, seed: int, job: Job
) -> None:
    """Writes the player beside the record, as `toymodels.pretrained` ships it."""
    trained = metrics["scores"]["trained"]
    steps = f" --set steps={settings.steps}" if settings.steps else ""
    card = {
        "command": "python -m experiments othello_world_model "
        f"--set player={settings.player}{steps} --seed {seed}",
        "seed": seed,
        "device": records.device(),
        "versions": records.versions(),
        "seconds": job.seconds["model"],
        "dtype": np.dtype(STORED).name,
        "metrics": metrics["final"]
        | {name: max(trained[name]) for name in ("squares", "occupied", "legal_f1")}
        | {"best_site": metrics["best_site"]},
    }
    pretrained.save(settings.player, model, card, job.directory, STORED)


def probe(
    key: jax.Array, world: OthelloResidual | OthelloMoves, settings: Settings
) -> tuple[dict[str, np.ndarray], probes.Probes]:
    """Scores by site, and the probes; the same positions for every model."""
    key_fit, key_board, key_f1 = jax.random.split(jax.random.clone(key), 3)
    fitted = probes.fit(key_fit, world, settings.n_rows, settings.ridge)
    board = board_scores.board_scores(key_board, fitted, world, settings.n_test)
    f1 = board_scores.f1_scores(key_f1, fitted, world, settings.n_test)
    scores = {
        "squares": board.accuracy,
        "occupied": board.occupied,
        "by_square": board.by_square,
        "legal_f1": f1["legal"],
        "flipped_f1": f1["flipped"],
    }
    return scores, fitted


def boards(key, game, model, fitted: probes.Probes, site: int, n_games: int):
    """Whole games: what each square holds (0 mine, 1 theirs, 2 empty), by the game and by
    the probe, as [game, move, row, column]; and where the stream has a next move.
    """
    size = game.rules.size
    sequences = game.sample(key, n_games)
    x = np.asarray(model(sequences.tokens).residual)[site]
    n_squares = 3 * size**2
    found = x @ fitted.W[site][:, :n_squares] + fitted.b[site][:n_squares]
    truth = labels.values(game.rules, positions(sequences.games), board_scores.BOARD)
    shape = (n_games, -1, 3, size, size)
    return {
        "boards/true": np.asarray(truth)[:, :-1].reshape(shape).argmax(2),
        "boards/decoded": found.reshape(shape).argmax(2),
        "boards/black": np.asarray(sequences.games.black)[:-1].T,
        "boards/running": np.asarray(sequences.weights) > 0,
    }


def site_names(n_sites: int) -> list[str]:
    """Of the sites of the stream, in order."""
    layers = range((n_sites - 1) // 2)
    return [
        "embedding",
        *(f"{part} {i + 1}" for i in layers for part in ("attention", "MLP")),
    ]


def make_checks(metrics: dict[str, Any], goals: dict[str, float]) -> list[Check]:
    """What the model and its probes must reach."""
    trained, control = (metrics["scores"][name] for name in ("trained", "control"))
    legal = np.max(trained["legal_f1"]) - np.max(control["legal_f1"])
    squares = np.max(trained["squares"])
    illegal = metrics["final"]["illegal_top1"]
    low, high = goals["floor"] - 0.01, goals["floor"] + 0.01
    checks = [
        Check.at_most("illegal first choices", illegal, goals["illegal"], STATED),
        Check.within("entropy floor (nats)", metrics["floor"], low, high, SIMULATION),
        Check.at_least("legal moves: F1 gained by training", legal, 0.15, TRAINING),
    ]
    if "squares" in goals:
        checks.append(Check.at_least("squares read", squares, goals["squares"], STATED))
    if "gained" in goals:
        gained = squares - np.max(control["squares"])
        name = "squares read: gained by training"
        checks.append(Check.at_least(name, gained, goals["gained"], STATED))
    return checks


def table(metrics: dict[str, Any]) -> list[str]:
    """The final losses, then one line per site."""
    final = metrics["final"]
    lines = [
        f"loss {final['cross_entropy']:.4f}, {final['excess']:.4f} above its floor",
        f"illegal: first choice {final['illegal_top1']:.1%}, "
        f"probability {final['illegal_mass']:.1%}",
        f"{'site':<14}{'squares read':>24}{'legal moves, F1':>24}",
    ]
    of = [metrics["scores"][name] for name in ("trained", "control")]
    for i, site in enumerate(metrics["sites"]):
        shown = (
            f"{of[0][score][i]:.3f} (control {of[1][score][i]:.3f})"
            for score in ("squares", "legal_f1")
        )
        lines.append(f"{site:<14}" + "".join(f"{text:>24}" for text in shown))
    moves = metrics["scores"]["moves"]
    shown = (f"{moves[score][0]:.3f}" for score in ("squares", "legal_f1"))
    lines.append(f"{'moves alone':<14}" + "".join(f"{text:>24}" for text in shown))
    return lines


EXPERIMENT = Experiment(
    name="othello_world_model",
    question="Does a transformer that reads moves of Othello keep the board, and where?",
    source="Li et al. 2023, arXiv 2210.13382; Nanda et al. 2023, arXiv 2309.00941",
    minutes=0.6,
    settings=Settings(),
    quick=Settings(steps=1_000, n_sequences=2_048, n_rows=16_384, n_test=8_192),
    run=run,
    figures=(othello_probes, othello_boards),
    expect="In the first figure the loss falls towards its floor, and what probes read "
    "rises after the first attention, above the control. In the second the board that the "
    "probe reads is the true one but for the marked squares.",
)
