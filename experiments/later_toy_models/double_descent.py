r"""When does a model memorise its data, and when does it learn the features?

"Superposition, Memorization, and Double Descent" (Henighan et al. 2023): the ReLU output
model with two hidden dimensions is trained on T fixed rows of sparse features, all of them
in every step, and tested on fresh ones. Rows are scaled to norm 1, so that a model which
answers nothing has a loss of 1. AdamW (rate 1e-3, weight decay 0.01), warm-up over the
first twentieth, cosine to 0.

The paper has 10,000 features at density 0.001 and 50,000 steps. The default is a tenth of
that in features, at density 0.01, with 10,000 steps and four seeds for each T; the seed
with the lowest training loss is kept. How far the memorising models get depends on the
optimizer and the number of steps, and so does the height of the peak. The paper's size,
best on a GPU, without its point of endless fresh rows:

    python -m experiments double_descent --set n_features=10000 --set density=0.001 \
        --set steps=50000 --set n_seeds=1 --set "sizes=3,5,6,8,10,15,30,50,100,200,500,\
        1000,2000,5000,10000,20000,50000,100000"

Five rows become a pentagon, but not always a regular one: their loss is then zero, and
nothing evens the angles out. The checks ask for D from 0.38 to 0.42, as seen in an earlier
run; on seed 31 it lay between 0.356 and 0.430, and both fail.

Run:     python -m experiments double_descent
Takes:   about 3 minutes on two cores
Expect:  few rows become a polygon of hidden vectors, not always a regular one; many rows
         give five features a direction each; between the two the test loss has a peak far
         above 1
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.later_toy_models import double_descent as figure
from synthetic import SparseFeatures, firing, random
from toymodels import superposition
from toymodels.superposition import dataset
from toymodels.training import ensemble, loop

PAPER = "Henighan et al. 2023"
LEARNED = 0.1
ROWS_AT_ONCE = 1 << 13
PER_SIZE = ("W", "b", "train_loss", "test_loss", "feature_dimensionality")
PER_ROW = ("hidden", "data_dimensionality")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the model.
    density: probability that a feature is present; then it is uniform on [0, 1].
    sizes: T, the numbers of rows.
    n_seeds: models for each T, on the same rows.
    steps, learning_rate, weight_decay, warm_up: of AdamW; warm_up is a share of the steps.
    n_test_rows: fresh rows of the test loss.
    """

    n_features: int = 1000
    n_hidden: int = 2
    density: float = 0.01
    sizes: tuple[int, ...] = (
        *(3, 5, 6, 8, 10, 15, 30, 50, 100, 200, 300, 400, 500, 700, 1000, 2000, 3000),
    )
    n_seeds: int = 4
    steps: int = 10_000
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    n_test_rows: int = 20_000


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_rows, key_test, key_init = jax.random.split(random.key(seed), 3)
    test = draw_rows(key_test, settings.n_test_rows, settings)
    found = []
    with job.stage("models"):
        for T in settings.sizes:
            rows = draw_rows(jax.random.fold_in(key_rows, T), T, settings)
            params = train(jax.random.fold_in(key_init, T), rows, settings, job)
            found.append(examine(params, rows, test))
    every_T = {name: np.stack([f[name] for f in found]) for name in PER_SIZE}
    train_loss, test_loss = every_T["train_loss"], every_T["test_loss"]
    best = train_loss.argmin(axis=1)
    arrays = every_T | {"T": np.array(settings.sizes), "best": best}
    for T, f in zip(settings.sizes, found, strict=True):
        arrays |= {f"{name}/{T}": f[name] for name in PER_ROW}
    of_features = every_T["feature_dimensionality"]
    metrics = {
        "T": list(settings.sizes),
        "train_loss": train_loss.min(axis=1).tolist(),
        "test_loss": test_loss[np.arange(len(best)), best].tolist(),
        "mean_data_dimensionality": [float(f["data_dimensionality"].mean()) for f in found],
        "largest_feature_dimensionality": of_features.max(axis=1).tolist(),
        "n_features_learned": (of_features > LEARNED).sum(axis=1).tolist(),
    }
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics))


def draw_rows(key: Key[Array, ""], n_rows: int, settings: Settings) -> dataset.Dataset:
    """Sparse rows of norm 1; a row without any feature stays zero."""
    probability = jnp.full(settings.n_features, settings.density)
    world = SparseFeatures.of_features(firing.Independent(probability))
    entries = []
    for start in range(0, n_rows, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, n_rows - start)
        features = np.asarray(world.sample(jax.random.fold_in(key, start), n).features)
        row, feature = np.nonzero(features)
        norm = np.linalg.norm(features, axis=1)[row]
        entries.append((start + row, feature, features[row, feature] / norm))
    row, feature, value = (np.concatenate(part) for part in zip(*entries, strict=True))
    return dataset.from_entries(row, feature, value, (n_rows, settings.n_features))


def train(
    key: Key[Array, ""], rows: dataset.Dataset, settings: Settings, job: Job
) -> superposition.Params:
    """Parameters [seed, ...] of models that differ in their initial weights alone."""
    model = superposition.Bottleneck(settings.n_features, settings.n_hidden)
    warm_up = round(settings.warm_up * settings.steps)
    rate = optax.warmup_cosine_decay_schedule(
        0, settings.learning_rate, warm_up, settings.steps
    )
    optimizer = optax.adamw(rate, weight_decay=settings.weight_decay)

    def advance(state, rows, n):
        return loop.advance(
            random.key(0),
            state,
            n,
            loss=lambda params, _, memory, step: (
                dataset.loss(params, rows),
                loop.Outcome({}),
            ),
            sample=lambda key: (),
            optimizer=optimizer,
        )

    together = jax.jit(ensemble.over_members(advance, settings.n_seeds, shared=2))
    states = jax.vmap(lambda key: loop.start(model.init(key), optimizer))(
        jax.random.split(key, settings.n_seeds)
    )
    states, _ = loop.run(
        lambda states, n: together(states, rows, n),
        states,
        settings.steps,
        chunk=max(1, settings.steps // 10),
        progress=job.progress(f"{rows.n_rows} rows", settings.steps),
        checkpoints=job.checkpoints(f"{rows.n_rows}_rows"),
    )
    return states.params


@jax.jit
def examine(
    params: superposition.Params, rows: dataset.Dataset, test: dataset.Dataset
) -> dict[str, Array]:
    """The losses of every seed, and the best seed's geometry."""
    train_loss = jax.lax.map(lambda p: dataset.loss(p, rows), params)
    test_loss = jax.lax.map(lambda p: dataset.loss(p, test), params)
    best = jax.tree.map(lambda x: x[train_loss.argmin()], params)
    hidden = dataset.hidden(best, rows)
    return {
        "W": best.W,
        "b": best.b,
        "train_loss": train_loss,
        "test_loss": test_loss,
        "hidden": hidden,
        "feature_dimensionality": superposition.dimensionality(best.W),
        "data_dimensionality": superposition.dimensionality(hidden),
    }


def make_checks(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Check]:
    """What the figure must show; sizes that were not run are left out."""
    place = {T: i for i, T in enumerate(metrics["T"])}
    test, learned = metrics["test_loss"], metrics["n_features_learned"]
    small = "the same model with 1,000 features in an independent run"
    pentagon_of = "closed form: a regular pentagon has D = 2/5"
    checks = []
    if 5 in place:
        pentagon = arrays["data_dimensionality/5"]
        checks += [
            Check.within(
                "smallest D of 5 rows", float(pentagon.min()), 0.38, 0.42, pentagon_of
            ),
            Check.within(
                "largest D of 5 rows", float(pentagon.max()), 0.38, 0.42, pentagon_of
            ),
        ]
    checks += [
        Check.within(
            f"test loss of {T} rows", test[place[T]], 0.995, 1.005, f"{PAPER}: 1.000"
        )
        for T in (5, 6)
        if T in place
    ]
    few = [T for T in place if 3 <= T <= 100]
    if few:
        sums = [T * metrics["mean_data_dimensionality"][place[T]] for T in few]
        n_hidden = arrays["W"].shape[-1]
        frame = "closed form: at most the hidden dimensions, which tight frames reach"
        name = "smallest sum of D, up to 100 rows"
        checks.append(Check.at_least(name, np.min(sums), 0.98 * n_hidden, frame))
    middle = [test[i] for T, i in place.items() if 200 <= T <= 500]
    if middle:
        checks.append(Check.at_least("peak of the test loss", np.max(middle), 1.5, small))
    if 1000 in place:
        count = learned[place[1000]]
        checks.append(Check.within("features learned from 1,000 rows", count, 5, 5, small))
    many = [test[i] for T, i in place.items() if T >= 2000]
    if many:
        checks.append(
            Check.at_most("test loss of 2,000 rows or more", np.max(many), 0.99, small)
        )
    return checks


COLUMNS = (
    *("T", "train_loss", "test_loss"),
    *("mean_data_dimensionality", "n_features_learned"),
)


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per number of rows."""
    rows = zip(*(metrics[column] for column in COLUMNS), strict=True)
    return [
        "{:>6}{:>12}{:>12}{:>16}{:>10}".format(
            "rows", "train loss", "test loss", "mean D of rows", "features"
        ),
        *("{:>6}{:>12.4f}{:>12.4f}{:>16.4f}{:>10}".format(*row) for row in rows),
    ]


EXPERIMENT = Experiment(
    name="double_descent",
    question="When does a model memorise its data, and when does it learn the features?",
    source="Henighan et al. 2023, at a tenth of the size",
    minutes=3,
    settings=Settings(),
    quick=Settings(sizes=(5, 30, 300, 1000), n_seeds=2),
    run=run,
    figures=(figure,),
    expect="With few rows the hidden vectors of the data form a polygon (regular in the "
    "paper; here only about so, for at zero loss nothing evens it out) and no feature has "
    "a direction; with many rows five features do. Between the two the test loss peaks far "
    "above 1, which the published figure shows at about 0.2 n rows and this one, with a "
    "tenth of the features, at 0.3 to 0.4 n.",
)
