"""Who gets how much capacity, and when do features share?

A feature's capacity is the share of a dimension that is its own: its dimensionality D_i.
Scherlis et al. 2022 (arXiv 2210.01892) find that the most important features get a whole
dimension, the least important none and those between a fraction; that more features share
as the inputs' kurtosis E x^4 / (E x^2)^2 rises; and that the features fall into blocks
with orthogonal subspaces, each spread evenly over its own. They work out a model with a
quadratic activation; here are ReLU models of 15 features of importance 0.8^i in 5
dimensions. Sparsity sets the kurtosis, and so does the law of the values: with density p it
is 1/p for values of 1, 1.8/p for uniform ones, 3/p for the size of normal ones.

The share of features with a fraction is a mean over 180 features of each density, so that
it can fall by chance from one density to the next (by 0.011 on seed 31): rises are held
against their standard errors.

Run:     python -m experiments capacity
Takes:   about a minute on two cores
Expect:  capacity falls with importance; the share of features with a fraction rises with
         kurtosis from 0 to most; every block's capacity is a whole number
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.later_toy_models import capacity
from synthetic import SparseFeatures, firing, magnitude, random
from toymodels import superposition

LAWS = {
    "values of 1": magnitude.Constant(),
    "uniform": magnitude.Uniform(),
    "half normal": magnitude.FoldedNormal(),
}
KURTOSIS_TIMES_DENSITY = {"values of 1": 1.0, "uniform": 9 / 5, "half normal": 3.0}
JOINED = 0.15
NONE, WHOLE = 0.05, 0.95


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the model.
    importance: feature i's error weighs importance^i.
    densities: from dense to sparse.
    n_seeds: models of each density and law of values.
    steps, batch_size, learning_rate: of Adam, whose rate falls to 0 in a straight line.
    n_samples: on which the choice of the best seed rests.
    """

    n_features: int = 15
    n_hidden: int = 5
    importance: float = 0.8
    densities: tuple[float, ...] = (0.8, 0.6, 0.4, 0.25, 0.15, 0.08, 0.04)
    n_seeds: int = 12
    steps: int = 6_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 16


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = jax.random.split(random.key(seed), len(LAWS))
    W, best = {}, {}
    for key, law in zip(keys, LAWS, strict=True):
        with job.stage(law):
            W[law], loss = fit_models(key, law, settings, job)
        best[law] = loss.argmin(axis=1)
    capacities = {law: np.asarray(superposition.dimensionality(w)) for law, w in W.items()}
    shared = {law: share_of_fractions(found) for law, found in capacities.items()}
    blocks = [
        block
        for law in LAWS
        for w, i in zip(W[law], best[law], strict=True)
        for block in superposition.find_polytopes(w[i], joined=JOINED)
    ]
    densities = np.array(settings.densities)
    shown = int(np.abs(np.log(densities / 0.25)).argmin())
    metrics: dict[str, Any] = {
        "densities": densities.tolist(),
        "kurtosis": {
            law: (KURTOSIS_TIMES_DENSITY[law] / densities).tolist() for law in LAWS
        },
        "capacity": {law: found.mean(axis=1).tolist() for law, found in capacities.items()},
        "shared": {law: found.tolist() for law, found in shared.items()},
    }
    drawn = W["uniform"][shown, best["uniform"][shown]]
    arrays = {f"capacity/{law}": found for law, found in capacities.items()} | {
        "W": np.asarray(drawn),
        "block": superposition.components(drawn, joined=JOINED),
        "density": densities[shown],
    }
    checks = make_checks(capacities, shared, blocks, settings.n_hidden)
    return Result(metrics, arrays, checks, table(metrics))


def fit_models(
    key: Key[Array, ""], law: str, settings: Settings, job: Job
) -> tuple[Array, np.ndarray]:
    """W [density, seed, feature, hidden] and the loss of every model."""
    key_train, key_loss = jax.random.split(key)
    model = superposition.Bottleneck(
        settings.n_features,
        settings.n_hidden,
        importance=settings.importance ** jnp.arange(settings.n_features),
    )

    def problem(density):
        """Each feature is 0, or with probability `density` drawn from the law."""
        probability = jnp.full(settings.n_features, density)
        world = SparseFeatures.of_features(firing.Independent(probability), LAWS[law])
        return model, world

    params, _ = superposition.train(
        key_train,
        problem,
        np.array(settings.densities),
        n_seeds=settings.n_seeds,
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=optax.adam(
            optax.linear_schedule(settings.learning_rate, 0, settings.steps)
        ),
        progress=job.progress(law, settings.steps),
        checkpoints=job.checkpoints(law.replace(" ", "_")),
    )
    loss = superposition.losses(
        key_loss, problem, np.array(settings.densities), params, settings.n_samples
    )
    return params.W, loss


def share_of_fractions(capacities: np.ndarray) -> np.ndarray:
    """[density]: share of features, over all seeds, with neither none nor all of one."""
    return is_fraction(capacities).mean(axis=(1, 2))


def is_fraction(capacities: np.ndarray) -> np.ndarray:
    """1.0 where a capacity is neither none nor all of a dimension, else 0.0; NaN of NaN."""
    between = (capacities > NONE) & (capacities < WHOLE)
    return np.where(np.isnan(capacities), np.nan, between)


def largest_rise(capacities: np.ndarray) -> float:
    """Of the mean over models [model, feature], from a feature to the next, over its error.

    The floor of a thousandth keeps features that no model holds out of the way.
    """
    steps = np.diff(capacities, axis=1)
    errors = steps.std(axis=0) / len(steps) ** 0.5
    return float((steps.mean(axis=0) / np.maximum(errors, 1e-3)).max())


def least_rise(capacities: np.ndarray) -> float:
    """Of the share of fractions [density, seed, feature], from a density to the next, over
    its error. The floor of a thousandth is that of `largest_rise`.
    """
    shares = is_fraction(capacities).mean(axis=2)
    variance = shares.var(axis=1, ddof=1) / shares.shape[1]
    errors = np.sqrt(variance[1:] + variance[:-1])
    return float((np.diff(shares.mean(axis=1)) / np.maximum(errors, 1e-3)).min())


def make_checks(
    capacities: Mapping[str, np.ndarray],
    shared: Mapping[str, np.ndarray],
    blocks: list[superposition.Polytope],
    n_hidden: int,
) -> list[Check]:
    """The three claims, and the budget."""
    models = np.concatenate(
        [found.reshape(-1, found.shape[-1]) for found in capacities.values()]
    )
    rises = [least_rise(found) for found in capacities.values()]
    sparsest = [found[-1] for found in shared.values()]
    dense = np.stack([found[0].mean(axis=0) for found in capacities.values()])
    sizes = [block.dimensionality for block in blocks]
    in_block = np.array([D.sum() if D.size else np.nan for D in sizes])
    totals = np.concatenate([found.sum(-1).ravel() for found in capacities.values()])
    paper = "Scherlis et al. 2022"
    return [
        Check.at_most(
            "largest rise from a feature to a less important one, in standard errors",
            largest_rise(models),
            3.0,
            f"{paper}: capacity falls with importance; less than 3 is chance",
        ),
        Check.within(
            "lowest mean capacity of the most important feature, densest models",
            float(dense[:, 0].min()),
            0.95,
            1.0,
            f"{paper}: the most important features get 1",
        ),
        Check.within(
            "highest mean capacity of the least important feature, densest models",
            float(dense[:, -1].max()),
            0.0,
            0.05,
            f"{paper}: the least important features get 0",
        ),
        Check.at_least(
            "least rise of the share of fractions, density to density, in standard errors",
            np.min(rises),
            -3.0,
            f"{paper}: sharing rises with kurtosis; less than 3 is chance",
        ),
        Check.at_least(
            "least rise of the share of fractions, densest to sparsest, in standard errors",
            np.min([least_rise(found[[0, -1]]) for found in capacities.values()]),
            3.0,
            f"{paper}: sharing rises with kurtosis; more than 3 is no chance",
        ),
        Check.at_least(
            "share of fractions in the sparsest models, least",
            float(np.min(sparsest)),
            0.5,
            f"{paper}: most features share",
        ),
        Check.at_most(
            "largest distance of a block's capacity from a whole number, best seeds",
            float(np.abs(in_block - in_block.round()).max()),
            0.05,
            f"{paper}: every block is spread evenly over the dimensions of its own",
        ),
        Check.within(
            "smallest total capacity",
            float(totals.min()),
            0.97 * n_hidden,
            n_hidden + 1e-3,
            f"closed form: at most n_hidden = {n_hidden}, equal for even spread",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per density: the share of fractions under each law."""
    lines = ["share of fractions", "density" + "".join(f"{law:>14}" for law in LAWS)]
    for density, *shares in zip(
        metrics["densities"], *metrics["shared"].values(), strict=True
    ):
        lines.append(f"{density:>7.2f}" + "".join(f"{share:>14.0%}" for share in shares))
    return lines


EXPERIMENT = Experiment(
    name="capacity",
    question="Who gets how much capacity, and when do features share?",
    source="Scherlis et al. 2022, Polysemanticity and capacity",
    minutes=1,
    settings=Settings(),
    quick=Settings(densities=(0.6, 0.25, 0.08), n_seeds=8),
    run=run,
    figures=(capacity,),
    expect="Capacity falls with importance, as a step from 1 to 0 when dense and smoothly "
    "when sparse. The share of features with a fraction rises with kurtosis. Products of "
    "one model's rows, sorted, fall into blocks with nothing between them, as in the "
    "paper's drawing of a block-semi-orthogonal matrix.",
)
