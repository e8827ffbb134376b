"""Do dictionaries find directions that are known because they were planted?

In a trained transformer no true directions are known, so dictionaries are scored there by
what their latents fire for. Here a player of 4 x 4 Othello is trained with an auxiliary
loss (`toymodels.othello.planted`) that makes random directions carry twelve properties at
one site: the corners, mine and theirs, and whether four squares at the edge were flipped
before, which the game never asks for. Then the cosine of decoder rows with true directions,
`mcc_dec`, has an answer in a trained network. How firmly they are planted is the weight of
that loss: with little of it the player reads them in part, and writes them a second time
where it likes. The rest of the stream is what the game needs, and dictionaries are paid for
explaining that too.

Ceiling: the rows of the regression of the stream on the features, which need no dictionary
and say whether planting worked. Floors: random rows; the same directions, to which the
dictionaries of a player without planting and of the player before training owe nothing.

Run:     python -m experiments planted_directions
Takes:   about three minutes on one core
Expect:  mcc_dec 0.96 for Matryoshka, 0.92 for BatchTopK, 0.91 for TopK and 0.79 for ReLU at
         a weight of 1 (0.99 for the regression); 0.63 to 0.68 at 0.1 (0.89), 0.43 to 0.45
         at 0.01 (0.56), and chance, 0.3, below and in both controls. Planting costs the
         player nothing: 0.13 nats above the floor at a weight of 1, 0.16 without. The size
         that a feature is given matters little, for the player scales the rest of its
         stream to it: at a weight of 1, sizes of 1/8 to 1 gave 0.88 to 0.96 for the best,
         a gain below the 0.1 that was asked of that sweep before this one took its place.
         Seed 1 agrees within 0.02 at a weight of 1, and within 0.04 elsewhere
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import OneOf, Within
from experiments.othello import contenders
from figures.othello import planted_directions as figure
from synthetic import directions, random
from synthetic.base import Batch
from synthetic.stored import shuffled
from toymodels.othello import planted, presets
from toymodels.othello.planted import PlantedResidual, Planting
from toymodels.sae import one_stream
from toymodels.scores import geometry

CORNERS, EDGES = ("a1", "d1", "a4", "d4"), ("b1", "d2", "a3", "c4")
NAMES = (
    *(f"mine {square}" for square in CORNERS),
    *(f"theirs {square}" for square in CORNERS),
    *(f"flipped_before {square}" for square in EDGES),
)
UNTRAINED, UNPLANTED = "before training", "no planting"
STATED = "chosen before the first run"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    weights: of planting in the loss, one player each.
    size: of a planted feature in the stream.
    site: where it is planted.
    player_steps: of every player; 64 games in each.
    variants: names of `othello_contenders.VARIANTS`.
    l0s: wanted latents on in a position; one.
    n_seeds: dictionaries per variant and player, from different first weights.
    n_latents: of every dictionary.
    steps, batch_size, learning_rate: of Adam; the rate falls to 0 in the last third.
    n_rows: positions that are stored for dictionaries, and as many for their scores.
    """

    weights: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    size: float = 0.5
    site: Annotated[int, Within(0)] = 2
    player_steps: int = 1_000
    variants: Annotated[tuple[str, ...], OneOf(lambda: contenders.VARIANTS)] = (
        "ReLU",
        "TopK",
        "BatchTopK",
        "Matryoshka",
    )
    l0s: tuple[float, ...] = (8.0,)
    n_seeds: int = 2
    n_latents: int = 128
    steps: int = 2_000
    batch_size: int = 256
    learning_rate: float = 2e-3
    n_rows: int = 32_768


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = jax.random.split(random.key(seed), 7)
    key_rows, key_init, key_train, key_measure, key_store, key_fit, key_chance = keys
    preset = presets.tiny()
    rows = directions.random(key_rows, len(NAMES), preset.d_model)
    first = preset.init(key_init)

    def planting(weight: float) -> Planting:
        size, weight = jnp.float32(settings.size), jnp.float32(weight)
        return Planting(rows, NAMES, settings.site, size, weight)

    wanted = {UNPLANTED: planting(0.0)}
    wanted |= {f"weight {w:g}": planting(w) for w in settings.weights}
    players = {UNTRAINED: (first, wanted[UNPLANTED])}
    for name, own in wanted.items():
        with job.stage(f"player, {name}"):
            model, _ = planted.train(
                jax.random.clone(key_train),
                first,
                preset.game,
                own,
                settings.player_steps,
                preset.batch_size,
                preset.learning_rate,
                chunk=max(1, settings.player_steps // 10),
                progress=job.progress(f"player, {name}", settings.player_steps),
                checkpoints=job.checkpoints(name.replace(" ", "_")),
            )
        players[name] = (model, own)
    found: dict[str, dict[str, Any]] = {}
    arrays: dict[str, np.ndarray] = {"weights": np.array(settings.weights)}
    for name, (model, own) in players.items():
        world = PlantedResidual(preset.game, model, own, preset.game.n_tokens)
        key_train_rows, key_test_rows = jax.random.split(jax.random.clone(key_store))
        train, test = (
            _store(key, world, settings.n_rows) for key in (key_train_rows, key_test_rows)
        )
        with job.stage(f"dictionaries, {name}"):
            scores = dictionaries(key_fit, train, test, rows, settings, job, name)
        arrays |= {f"{name}/{path}": values for path, values in scores.items()}
        arrays[f"{name}/regression"] = regression_cosines(test, rows)
        found[name] = measured(jax.random.clone(key_measure), model, own, preset.game)
        found[name]["share"] = planted_share(test, rows)
    floor = geometry.chance_mcc_dec(key_chance, rows, settings.n_latents)
    metrics = {
        "names": list(NAMES),
        "variants": list(settings.variants),
        "players": found,
        "floor": floor,
    }
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics, arrays))


_store = jax.jit(shuffled.fill, static_argnames="n_rows")


@jax.jit
def _losses(key, model, planting, game):
    batch = planting.lesson(game, key, 1024)
    return planting.loss(model, batch)[1].metrics


def measured(key: Key[Array, ""], model, planting: Planting, game) -> dict[str, float]:
    """The metrics of a player on fresh games."""
    found = jax.device_get(_losses(key, model, planting, game))
    return {name: float(value) for name, value in found.items()}


def dictionaries(
    key: Key[Array, ""],
    train: Any,
    test: Any,
    rows: Array,
    settings: Settings,
    job: Job,
    name: str,
) -> dict[str, np.ndarray]:
    """Fits all variants to the stored positions; VARIANT/SCORE to [seed, ...]."""
    stacks = contenders.members(settings.variants, train.x, settings)
    params = one_stream.fit_variants(
        jax.random.clone(key),
        stacks,
        train,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        seeds=tuple(range(settings.n_seeds)),
        chunk=max(1, settings.steps // 5),
        progress=job.progress(f"dictionaries, {name}", settings.steps, ()),
    )
    found = {}
    for variant, stack in stacks.items():
        each = []
        for i in range(settings.n_seeds):
            pair = stack, params[variant]
            dictionary, weights = jax.tree.map(lambda leaf: leaf[i], pair)  # noqa: B023
            each.append(scores_of(dictionary, weights, test, rows))
        found |= {f"{variant}/{k}": np.array([one[k] for one in each]) for k in each[0]}
    return found


def scores_of(dictionary: Any, params: Any, test: Batch, rows: Array) -> dict[str, Any]:
    """Of one dictionary: the cosine of each feature's latent (matched one to one by
    cosine), mcc_dec, their mean; how far that latent's values follow the feature's; L0.
    """
    pairs = geometry.match(geometry.cosines(params.W_dec, rows))
    z = np.asarray(dictionary.encode(params, test.x), float)
    follows = [
        correlation(z[:, latent], np.asarray(test.features[:, feature], float))
        for latent, feature in zip(pairs.latent, pairs.feature, strict=True)
    ]
    return {
        "cosine": pairs.value,
        "mcc_dec": pairs.value.mean(),
        "correlation": np.mean(follows),
        "l0": (z > 0).sum(axis=1).mean(),
    }


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, 0 for a constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def regression_cosines(test: Batch, rows: Array) -> np.ndarray:
    """Of the rows of the regression of x on the features with the directions; [feature]."""
    x, features = (np.asarray(part, float) for part in (test.x, test.features))
    x, features = x - x.mean(axis=0), features - features.mean(axis=0)
    slopes = np.linalg.lstsq(features, x, rcond=None)[0]
    return np.diagonal(geometry.cosines(slopes, rows))


def planted_share(test: Batch, rows: Array) -> float:
    """Of the variance of x, what the features along their directions would have."""
    due = np.asarray(test.features @ rows)
    return float(due.var(axis=0).sum() / np.asarray(test.x).var(axis=0).sum())


def means(metrics: dict[str, Any], arrays) -> dict[str, dict[str, float]]:
    """Player to variant to mcc_dec, means over seeds."""
    return {
        player: {
            variant: float(arrays[f"{player}/{variant}/mcc_dec"].mean())
            for variant in metrics["variants"]
        }
        for player in metrics["players"]
    }


def make_checks(metrics: dict[str, Any], arrays) -> list[Check]:
    """What must hold whichever variant is best."""
    best = {
        player: np.max(list(row.values())) for player, row in means(metrics, arrays).items()
    }
    names = [f"weight {weight:g}" for weight in arrays["weights"]]
    weak, firm, players = names[0], names[-1], metrics["players"]
    excess = (
        np.max([players[name]["excess"] for name in names]) - players[UNPLANTED]["excess"]
    )
    return [
        Check.within(
            "firmest: mcc_dec of the best variant", best[firm], 0.8, 1 + 1e-6, STATED
        ),
        Check.within(
            "firmest: mean cosine of regression rows with the directions",
            float(arrays[f"{firm}/regression"].mean()),
            0.95,
            1 + 1e-6,
            STATED,
        ),
        Check.at_most(
            "firmest: share of the planted reading that is missed",
            players[firm]["missed"],
            0.4,
            STATED,
        ),
        Check.at_least(
            "mcc_dec gained from the weakest planting to the firmest",
            best[firm] - best[weak],
            0.1,
            STATED,
        ),
        Check.at_most(
            "without planting: mcc_dec of the best variant above random rows",
            best[UNPLANTED] - metrics["floor"],
            0.1,
            "directions that mean nothing to the player",
        ),
        Check.at_most("nats of next-token loss that planting costs", excess, 0.05, STATED),
    ]


def table(metrics: dict[str, Any], arrays) -> list[str]:
    """One line per player: mcc_dec of every variant, then what it knows."""
    names = metrics["variants"]
    found = means(metrics, arrays)
    shown = ("share", "missed", "leaked", "excess")
    header = f"{'player':<18}" + "".join(f"{name:>12}" for name in (*names, "regression"))
    lines = [header + "".join(f"{key:>8}" for key in shown)]
    for player, row in metrics["players"].items():
        line = f"{player:<18}" + "".join(f"{found[player][name]:>12.3f}" for name in names)
        line += f"{arrays[f'{player}/regression'].mean():>12.3f}"
        lines.append(line + "".join(f"{row[key]:>8.3f}" for key in shown))
    lines.append(f"{'random rows':<18}" + f"{metrics['floor']:>12.3f}" * len(names))
    return lines


EXPERIMENT = Experiment(
    name="planted_directions",
    question="Do dictionaries find directions that are known because they were planted?",
    source="ground truth by an auxiliary loss; directions in a trained transformer",
    minutes=3,
    settings=Settings(),
    quick=Settings(
        weights=(0.001, 1.0), player_steps=400, variants=("TopK",), n_seeds=1, steps=1_000
    ),
    run=run,
    figures=(figure,),
    expect="Left: the firmer features are planted, the nearer the rows of dictionaries to "
    "their directions, below those of the regression (black). Without planting all stay at "
    "the random rows. Middle: the cosine of each feature where planting is firmest. Right: "
    "what planting costs the player.",
)
