"""What do dictionaries find in a transformer that plays Othello?

Seven variants, each at several L0s, on the residual stream of a trained player at one site.
Games, forward pass and dictionary step are one compiled program; each batch is drawn once
for all dictionaries. Scored as Karvonen et al. (2024, arXiv 2408.00113) do, by coverage
(the F1 of the best latent for each property of the board) and board reconstruction (whole
boards from latents of high precision), as published and corrected: latents and thresholds
are chosen on one sample and scored on another, and a latent that is always on scores 0.

Floors: a latent that is always on (0 by construction), dictionaries on the same model
before training, with latents that live, and labels of other positions. Beside them stand
the model's own MLP neurons, which cost no dictionary. Ceiling: the answers of linear probes
as if they were latents. Every dictionary is fitted from two first weights; intervals are a
bootstrap over positions. The player is one trained model: another would move all scores.

Run:     python -m experiments othello_dictionaries
Small:   python -m experiments othello_dictionaries --set player=othello_small
         --set site=6 --set n_latents=1024 --set "l0s=(32.,)" --set steps=3000
         --set "variants=('BatchTopK','Matryoshka')" --set n_seeds=1
Takes:   about six minutes on one core; small 17 on two busy ones, with BatchTopK alone
         four minutes of a core
Expect:  legal moves: 0.28 to 0.32 for the best (Matryoshka at any L0, gated, TopK and
         BatchTopK at L0 16), 0.03 on the model before training, 0.34 for neurons, 0.81 for
         probes. Squares: 0.15 at best (Matryoshka), most dictionaries at or below an
         always-on latent, 0.20 for neurons, 0.59 for probes. Whole boards: 0.30 to 0.37,
         and 0.29 on the model before training: on 4 x 4 squares this score tells little.
         Small, for BatchTopK, before training, neurons and probes: legal moves 0.53, 0.05,
         0.38, 0.86; squares 0.30, -0.02, 0.29, 0.77; whole boards 0.36, 0.14, 0.41, 0.52.
         Other games and dictionaries (seeds 1 and 2, BatchTopK alone): legal moves 0.56 and
         0.54 against 0.04 both times before training, squares 0.29 and 0.28 against 0.03
         and 0.00
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAY_BE_EMPTY, OTHELLO_PLAYER, OneOf, Within
from experiments.othello import contenders
from figures.othello import othello_dictionaries as frontier
from figures.othello import othello_latent
from synthetic import random
from toymodels import pretrained
from toymodels.othello.residual import OthelloResidual
from toymodels.sae import one_stream
from toymodels.scores import detection
from toymodels.scores.detection import Sample

CONTROL = "BatchTopK"
SCORES = ("squares", "legal", "board")
N_BOARDS = 12


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: a model of `toymodels.pretrained`.
    site: of its residual stream, as in `transformer.site`.
    variants: names of `othello_contenders.VARIANTS`; empty for all.
    l0s: wanted latents on in a position.
    n_seeds: dictionaries per variant and L0, from different first weights.
    n_latents: of every dictionary.
    steps, batch_size, learning_rate: of Adam; the rate falls to 0 in the last third.
    n_rows: positions that latents are chosen on, and as many held-out ones; whole games.
    """

    player: Annotated[str, OTHELLO_PLAYER] = "othello_tiny"
    site: Annotated[int, Within(0)] = 2
    variants: Annotated[
        tuple[str, ...], OneOf(lambda: contenders.VARIANTS), MAY_BE_EMPTY
    ] = ()
    l0s: tuple[float, ...] = (4.0, 8.0, 16.0)
    n_seeds: int = 2
    n_latents: int = 256
    steps: int = 2_000
    batch_size: int = 512
    learning_rate: float = 2e-3
    n_rows: int = 22_000


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = jax.random.split(random.key(seed), 6)
    key_control, key_fit, key_train, key_test, key_probes, key_draws = keys
    preset, model, _ = pretrained.load(settings.player)
    players = {"trained": model, "random": preset.init(key_control)}
    variants = settings.variants or contenders.VARIANTS
    studies, worlds = {}, {}
    for name, player in players.items():
        slots = preset.game.n_tokens
        world = OthelloResidual(
            preset.game, player, contenders.FAMILIES, settings.site, slots
        )
        worlds[name] = world
        train, test = (
            contenders.positions(jax.random.clone(key), world, settings.n_rows // slots)
            for key in (key_train, key_test)
        )
        names = variants if name == "trained" else (CONTROL,)
        stacks = contenders.members(names, train.x, settings)
        with job.stage(f"dictionaries, {name} model"):
            params = one_stream.fit_variants(
                jax.random.clone(key_fit),
                stacks,
                world,
                settings.steps,
                settings.batch_size,
                settings.learning_rate,
                seeds=tuple(range(settings.n_seeds)) * len(settings.l0s),
                chunk=max(1, settings.steps // 20),
                progress=job.progress(f"dictionaries, {name}", settings.steps, ()),
            )
        studies[name] = contenders.Study(train, test, stacks, params)
    trained = studies["trained"]
    with job.stage("scores"):
        rows = {
            f"{name}/{variant}": contenders.of_members(key_draws, study, variant)
            for name, study in studies.items()
            for variant in study.stacks
        }
        for title, wrong in contenders.WRONG_LABELS.items():
            other = trained._replace(train=wrong(trained.train), test=wrong(trained.test))
            rows[title] = contenders.of_members(key_draws, other, CONTROL)
        rows |= contenders.references(key_probes, key_draws, worlds["trained"], trained)
    arrays = as_arrays(rows, settings.n_seeds)
    card, shown = dashboard(trained, worlds["trained"])
    metrics = {"variants": list(variants), "player": settings.player, "latent": card}
    return Result(metrics, arrays | shown, make_checks(arrays), table(arrays))


def as_arrays(rows: dict[str, list[dict[str, Any]]], n_seeds: int):
    """PATH/SCORE to [l0, seed, ...]; [1, 1, ...] of what has neither."""
    arrays = {}
    for path, found in rows.items():
        seeds = n_seeds if len(found) > 1 else 1
        for score in found[0]:
            values = np.array([row[score] for row in found])
            arrays[f"{path}/{score}"] = values.reshape(-1, seeds, *values.shape[1:])
    return arrays


def dashboard(
    study: contenders.Study, world: OthelloResidual
) -> tuple[dict, dict[str, np.ndarray]]:
    """The latent that detects some legal move best, of the dictionary with the most latents
    on: its values, and boards from its strongest to its weakest.
    """
    pair = study.stacks[CONTROL], study.params[CONTROL]
    one, weights = jax.tree.map(lambda leaf: leaf[-1], pair)
    size = world.game.rules.size
    legal = slice(3 * size**2, 4 * size**2)
    train, test = (
        Sample(one.encode(weights, of.x), of.properties[:, legal])
        for of in (study.train, study.test)
    )
    detectors = detection.select(detection.count(train))
    f1 = detection.by_property(detectors, test)
    move = int(np.nanargmax(f1))
    z = np.asarray(test.z[:, detectors.latent[move]])
    on = np.argsort(-z)[: (z > 0).sum()]
    rows = on[np.linspace(0, len(on) - 1, N_BOARDS).astype(int)]
    board = np.asarray(study.test.properties)[rows, : 3 * size**2]
    is_legal = np.asarray(test.properties[:, move])
    card = {
        "move": world.names[legal][move].removeprefix("legal "),
        "square": move,
        "latent": int(detectors.latent[move]),
        "f1": float(f1[move]),
        "threshold": float(detectors.threshold[move]),
    }
    return card, {
        "latent/z": z,
        "latent/legal": is_legal,
        "latent/boards": board.reshape(-1, 3, size, size).argmax(axis=1),
        "latent/board_z": z[rows],
        "latent/board_legal": is_legal[rows],
    }


def make_checks(arrays: dict[str, np.ndarray]) -> list[Check]:
    """What must hold whichever variant is best."""

    def corrected(path, score):
        """Means over seeds, [l0]."""
        return arrays[f"{path}/{score}/corrected"][..., 0].mean(axis=1)

    trained = {path.split("/")[1] for path in arrays if path.startswith("trained/")}
    own = arrays[f"trained/{CONTROL}/legal/corrected"]
    lowest = own[own[..., 0].mean(axis=1).argmax(), :, 1].min()
    highest = arrays[f"random/{CONTROL}/legal/corrected"][..., 2].max()
    chance = np.max([corrected("permuted labels", s).max() for s in ("squares", "legal")])
    best = np.max([corrected(f"trained/{v}", "squares").max() for v in trained])
    probed = corrected("probes", "squares")[0]
    return [
        Check.at_least(
            f"legal moves: coverage of {CONTROL} clear of the random model's",
            float(lowest - highest),
            0.0,
            "stated goal: stands clear; ends of 95 % intervals, all seeds, the best L0",
        ),
        Check.at_most(
            "coverage with permuted labels, corrected",
            float(chance),
            0.02,
            "closed form: at most 0 but for noise",
        ),
        Check.at_least(
            "squares: coverage of probes over the best dictionary's",
            float(probed - best),
            0.0,
            "probes are told what to look for",
        ),
    ]


def table(arrays: dict[str, np.ndarray]) -> list[str]:
    """One line per variant, L0 and reference, means over seeds: corrected scores, and as
    published in brackets.
    """
    lines = [f"{'latents':<34}{'L0':>7}" + "".join(f"{name:>18}" for name in SCORES)]
    for path in [path.removesuffix("/l0") for path in arrays if path.endswith("/l0")]:
        for i, l0 in enumerate(arrays[f"{path}/l0"].mean(axis=1)):
            means = [
                (
                    arrays[f"{path}/{s}/corrected"][i, :, 0].mean(),
                    arrays[f"{path}/{s}/published"][i].mean(),
                )
                for s in SCORES
            ]
            texts = "".join(f"{f'{own:.3f} ({other:.3f})':>18}" for own, other in means)
            lines.append(f"{path:<34}{l0:>7.1f}{texts}")
    return lines


EXPERIMENT = Experiment(
    name="othello_dictionaries",
    question="What do dictionaries find in a transformer that plays Othello?",
    source="Karvonen et al. 2024, arXiv 2408.00113",
    minutes=5,
    settings=Settings(),
    quick=Settings(
        variants=("ReLU", "TopK", "BatchTopK"), l0s=(8.0,), steps=500, n_rows=5_500
    ),
    run=run,
    figures=(frontier, othello_latent),
    expect="Scores of squares rise with L0, and at small L0 lie below the line of an "
    "always-on latent. Legal moves separate the trained model from the model before "
    "training (grey circles), squares and whole boards hardly do. Neurons without a "
    "dictionary do as well as the best dictionaries. In the second figure blue frames, "
    "where the move is legal, come first.",
)
