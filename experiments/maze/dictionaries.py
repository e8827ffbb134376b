"""Does a dictionary find the connections that a maze player reads?

While the player reads the list of connections, `a <--> b ;` one after another, which one it
has just read is a feature that is on in one slot and off in the others. Spies et al. (2024,
arXiv 2412.11867) found such connection features at `;`. Here TopK dictionaries are fitted
to the stream at b and at `;`, after every layer, around the mean of each position (which a
single latent could otherwise reproduce). Each connection gets its best latent and its
threshold on training mazes; the F1 is of held-out ones that share no list of connections
with training.

From the best dictionary whole mazes are put together, too, as boards are from latents of
high precision (Karvonen et al. 2024, arXiv 2408.00113; `scores.board_reconstruction`).

Floors: the same for the model before training, and for Gaussian weights of the trained
model's sizes; a latent that is always on, which the corrected scores subtract. Ceiling:
ridge regression on the same rows.

Bars: an earlier model of 4 x 4 cells gave 0.88 to 0.95 at b and 0.26 to 0.38 for Gaussian
weights, chosen and scored on the same mazes. The bar of 0.4 for controls cannot be held on
small lattices: a latent that is nothing but the word at b, one cell of d connections, finds
each of them with an F1 of about 2 / (2 + d), and the words together reach 0.45, 0.42 and
0.40 on 3 x 3, 4 x 4 and 5 x 5 cells (`listing.words`). A model holds the word it has
just read, whatever its weights. So a last check, added after the controls had missed their
bar, asks that these words are all they have.

Run:     python -m experiments maze_dictionaries
Takes:   a minute and a half on one core
Expect:  the best dictionary (b, first layer, k = 2) has a mean F1 of 0.93, against 0.42
         before training and 0.41 for Gaussian weights: those of the words at b, 0.42, and
         both miss the bar of 0.4. Whole mazes are rebuilt with a corrected F1 of 0.89, 0.00
         and 0.07. With `--set "ks=(1.,)"` F1 is 0.90 to 0.91 on players of three seeds,
         0.42 before training and 0.39 to 0.42 with Gaussian weights. The 3 x 3 player
         (`--set player=maze_tiny`) has 0.99 at b after its second layer, 0.46 before
         training (0.02 beyond the words: the last check fails by 0.004) and 0.38 for
         Gaussian weights; whole mazes 1.00. The 5 x 5 player (`--set player=maze_medium`,
         two and a half minutes) has 0.86 at b after its third layer, 0.40 and 0.40 in the
         controls; whole mazes 0.79, 0.00 and 0.03. With `--set n_latents=256 --set
         steps=2000` it has 0.84
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAZE_PLAYER
from figures.maze import maze_dictionaries as figure
from synthetic import Stored, random
from synthetic.maze import MazeGame
from toymodels import pretrained, sae, transformer
from toymodels.maze import listing, presets
from toymodels.maze.listing import PLACES
from toymodels.sae.many import fit_members
from toymodels.scores import board_reconstruction, detection
from toymodels.scores.detection import Sample
from toymodels.scores.intervals import Interval
from toymodels.training import ensemble
from toymodels.transformer import Transformer

MODELS = ("trained", "before training", "Gaussian weights")
STATED = "stated goal, for 4 x 4 cells"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: a model of `toymodels.pretrained`.
    n_latents: of every dictionary.
    ks: latents on in a row.
    steps, batch_size, learning_rate: of training.
    n_mazes: that dictionaries are fitted to and latents chosen on, and as many held out.
    """

    player: Annotated[str, MAZE_PLAYER] = "maze_small"
    n_latents: int = 128
    ks: tuple[float, ...] = (1.0, 2.0)
    steps: int = 800
    batch_size: int = 512
    learning_rate: float = 3e-3
    n_mazes: int = 1_500


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = jax.random.split(random.key(seed), 5)
    key_control, key_redrawn, key_fit, key_mazes, key_draws = keys
    preset, trained, _ = pretrained.load(settings.player)
    models = (
        trained,
        preset.init(key_control),
        listing.redrawn(key_redrawn, trained),
    )
    games = preset.game, presets.held_out(preset.game)
    scores: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, model in zip(MODELS, models, strict=True):
        samples = read(key_mazes, model, games, settings.n_mazes)
        with job.stage(f"dictionaries, {name}"):
            codes = encoded(key_fit, samples, settings, job, name)
        with job.stage(f"scores, {name}"):
            scores[name], by_connection = scored(key_draws, samples, codes, settings)
        arrays[f"{name}/by_connection"] = by_connection
        arrays[f"{name}/f1"] = np.array([row["f1"] for row in scores[name]["rows"]])
        arrays[f"{name}/probes"] = np.array(scores[name]["probes"])
    words = words_alone(key_draws, key_mazes, games, settings.n_mazes)
    arrays["words/f1"] = np.array(words)
    metrics = {
        "player": settings.player,
        "members": members(trained, settings),
        "scores": scores,
        "words": tuple(words),
        "size": preset.game.layout.size,
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def members(
    model: Transformer, settings: Settings, places: Iterable[str] = tuple(PLACES)
) -> list[tuple[str, int, float]]:
    """Place, layer (counted from 1) and k of every dictionary."""
    layers = range(1, model.n_layers + 1)
    return [(place, layer, k) for place in places for layer in layers for k in settings.ks]


def read(key: Key[Array, ""], model: Transformer, games, n_mazes: int):
    """The rows of training and of held-out mazes, at each place after each layer."""
    key_train, key_test = jax.random.split(jax.random.clone(key))
    train = listing.read(key_train, model, games[0], n_mazes)
    test = listing.read(key_test, model, games[1], n_mazes)
    by = listing.scaling(train)
    train, test = listing.scaled(train, by), listing.scaled(test, by)
    sites = [transformer.site(layer, "mlp") for layer in range(model.n_layers)]
    return [
        (train.rows(place, site), test.rows(place, site))
        for place in range(len(PLACES))
        for site in sites
    ]


def words_alone(
    key: Key[Array, ""],
    key_mazes: Key[Array, ""],
    games: tuple[MazeGame, MazeGame],
    n_mazes: int,
) -> Interval:
    """Held-out F1 of latents that are the words at b, chosen as those of dictionaries."""
    keys = jax.random.split(jax.random.clone(key_mazes))
    train, test = (
        listing.words(one, game, n_mazes) for one, game in zip(keys, games, strict=True)
    )
    detectors = detection.select(detection.count(Sample(train.x, train.features)))
    held_out = Sample(test.x, test.features)
    return detection.corrected(jax.random.clone(key), detectors, held_out)["coverage"]


def encoded(
    key: Key[Array, ""],
    samples: list[tuple[Stored, Stored]],
    settings: Settings,
    job: Job,
    name: str,
) -> list[tuple[Array, Array]]:
    """The codes of both samples, member by member; every dictionary trained alike."""
    key_init, key_data = jax.random.split(jax.random.clone(key))
    kinds = [sae.TopK(settings.n_latents, k=k) for k in settings.ks]
    pairs = [(dictionary, both) for both in samples for dictionary in kinds]
    dictionaries = ensemble.stack([dictionary for dictionary, _ in pairs])
    worlds = ensemble.stack([train for _, (train, _) in pairs])
    d_model = samples[0][0].d_model
    starts = jax.vmap(lambda key: kinds[0].init(key, d_model))(
        jax.random.split(key_init, len(pairs))
    )
    weights, _ = fit_members(
        jax.random.split(key_data, len(pairs)),
        dictionaries,
        worlds,
        starts,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        chunk=max(1, settings.steps // 5),
        progress=job.progress(f"dictionaries, {name}", settings.steps),
    )
    weights = jax.device_get(weights)  # they lie on all devices
    found = []
    for i, (_, both) in enumerate(pairs):
        one, of = jax.tree.map(lambda leaf: leaf[i], (dictionaries, weights))  # noqa: B023
        found.append(tuple(_encode(one, of, rows.x) for rows in both))
    return found


@jax.jit
def _encode(dictionary: sae.TopK, params: sae.Params, x: Array) -> Array:
    return dictionary.encode(params, x)


def scored(
    key: Key[Array, ""],
    samples: list[tuple[Stored, Stored]],
    codes: list[tuple[Array, Array]],
    settings: Settings,
) -> tuple[dict[str, Any], np.ndarray]:
    """One row per dictionary; which one is best is decided on the training mazes. Also the
    held-out F1 of every connection in that one.
    """
    rows, detectors = [], []
    for i, both in enumerate(codes):
        train, test = pair = samples[i // len(settings.ks)]
        chosen_on = detection.count(Sample(both[0], train.features))
        detectors.append(detection.select(chosen_on))
        rows.append(
            score(jax.random.clone(key), detectors[-1], both, pair)
            | {"train": detection.as_published(chosen_on)}
        )
    best = max(range(len(rows)), key=lambda i: rows[i]["train"])
    test = samples[best // len(settings.ks)][1]
    held_out = Sample(codes[best][1], test.features)
    by_connection = detection.by_property(detectors[best], held_out)
    probes = [dense(*pair) for pair in samples]
    pair = samples[best // len(settings.ks)]
    boards = whole_mazes(jax.random.clone(key), codes[best], pair, settings.n_mazes)
    found = {"rows": rows, "best": best, "probes": probes, "boards": boards}
    return found, by_connection


def whole_mazes(
    key, codes, samples: tuple[Stored, Stored], n_mazes: int
) -> dict[str, tuple[float, ...]]:
    """Held-out mazes put together from latents of high precision, as boards are: a latent
    claims its connections where it is on in any slot (`scores.board_reconstruction`).
    """
    both = []
    for z, rows in zip(codes, samples, strict=True):
        n_slots = len(rows.x) // n_mazes
        on = z.reshape(n_mazes, n_slots, -1).max(axis=1)
        listed = rows.features.reshape(n_mazes, n_slots, -1).any(axis=1)
        both.append(Sample(on, listed))
    counts = detection.count(both[0])
    train, test = (board_reconstruction.claims(counts, sample) for sample in both)
    found = board_reconstruction.corrected(key, train, test)
    return {name: tuple(interval) for name, interval in found.items()}


def score(key, detectors, codes, samples: tuple[Stored, Stored]) -> dict[str, Any]:
    """Held-out F1, also corrected for chance; the share of connections above 0.9; the
    share of latents in use.
    """
    held_out = Sample(codes[1], samples[1].features)
    found = detection.corrected(key, detectors, held_out)
    by_connection = detection.by_property(detectors, held_out)
    return {
        "f1": tuple(found["coverage"]),
        "corrected": tuple(found["corrected"]),
        "above": float(np.nanmean(by_connection > 0.9)),
        "alive": float((codes[0] > 0).any(axis=0).mean()),
        "latents": len(np.unique(detectors.latent)),
    }


def dense(train: Stored, test: Stored, ridge: float = 1e-4) -> float:
    """Of held-out rows, the share whose connection has the largest answer of a ridge
    regression on all of x.
    """
    answers = ridge_answers(train, ridge)(test)
    truth = np.asarray(test.features)
    listed = truth.any(axis=1)
    return float((answers.argmax(1) == truth.argmax(1))[listed].mean())


def ridge_answers(train: Stored, ridge: float = 1e-4) -> Callable[[Stored], np.ndarray]:
    """A ridge regression of the connections on x and a constant, as a map from rows to
    [row, connection].
    """
    x = np.column_stack([train.x, np.ones(len(train.x))]).astype(float)
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    W = np.linalg.solve(gram, x.T @ np.asarray(train.features, float))
    return lambda rows: np.column_stack([rows.x, np.ones(len(rows.x))]) @ W


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The goals for the best dictionary of each model."""
    best = {name: of["rows"][of["best"]]["f1"] for name, of in metrics["scores"].items()}
    clear = best["trained"][1] - np.max([best[name][2] for name in MODELS[1:]])
    beyond_words = np.max([best[name][1] for name in MODELS[1:]]) - metrics["words"][2]
    return [
        Check.at_least(
            "best dictionary: mean F1, held out", best["trained"][0], 0.88, STATED
        ),
        *(
            Check.at_most(f"the same, {name}", best[name][0], 0.4, STATED)
            for name in MODELS[1:]
        ),
        Check.at_least(
            "clear of the better control (ends of 95 % intervals)",
            clear,
            0.0,
            "stated: against random weights",
        ),
        Check.at_most(
            "what the better control has beyond the words at b (ends of intervals)",
            beyond_words,
            0.0,
            "the words as latents, scored alike; 2 / (2 + d) each",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per dictionary: held-out F1 and its corrected form, by model."""
    lines = [f"{'place, layer, k':<28}" + "".join(f"{name:>30}" for name in MODELS)]
    for i, (place, layer, k) in enumerate(metrics["members"]):
        texts = []
        for name in MODELS:
            row = metrics["scores"][name]["rows"][i]
            mark = "*" if metrics["scores"][name]["best"] == i else " "
            texts.append(
                f"{row['f1'][0]:.3f} ({row['corrected'][0]:.3f}) {row['above']:>4.0%}{mark}"
            )
        lines.append(
            f"{f'{place}, {layer}, {k:g}':<28}" + "".join(f"{t:>30}" for t in texts)
        )
    lines.append("F1 (corrected), share of connections above 0.9; * best on training mazes")
    lines.append(f"{'the words at b':<28}{metrics['words'][0]:>13.3f}")
    rebuilt = (metrics["scores"][name]["boards"]["corrected"] for name in MODELS)
    texts = "".join(
        f"{value:>14.3f} ({low:.3f} to {high:.3f})" for value, low, high in rebuilt
    )
    lines.append(f"{'mazes rebuilt, corrected F1':<28}" + texts)
    n_ks = len(metrics["members"]) // len(metrics["scores"]["trained"]["probes"])
    for i, (place, layer, _) in enumerate(metrics["members"][::n_ks]):
        values = (metrics["scores"][name]["probes"][i] for name in MODELS)
        texts = "".join(f"{value:>30.3f}" for value in values)
        lines.append(f"{f'ridge, {place}, {layer}':<28}" + texts)
    return lines


EXPERIMENT = Experiment(
    name="maze_dictionaries",
    question="Does a dictionary find the connections that a maze player reads?",
    source="Spies et al. 2024, arXiv 2412.11867",
    minutes=2,
    settings=Settings(),
    quick=Settings(ks=(1.0,), steps=300, n_mazes=500),
    run=run,
    figures=(figure,),
    expect="At one of the two places dictionaries of the trained model have a latent for "
    "nearly every connection; those of the controls do not.",
)
