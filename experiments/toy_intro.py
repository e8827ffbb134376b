"""How do five features share two dimensions, from dense to sparse?

The introductory figure of "Toy Models of Superposition" (Elhage et al. 2022, F1 of the
catalogue): five features of falling importance 0.9^i, two hidden dimensions, ReLU output,
ten densities from 1 to 0.05, with the trainer of the authors' notebook (AdamW, rate 1e-3,
weight decay 0.01, 10,000 steps of 1,024 fresh samples). Sixteen seeds per density instead
of one, because one seed lies: a pentagon is not found every time.

Run:     python -m experiments toy_intro
Takes:   about two minutes on two cores
Expect:  two orthogonal features at density 1 (loss 0.0366), two antipodal pairs around
         0.3, a pentagon at 0.05 (loss 0.00145, the optimum by quadrature) in three of
         four seeds
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import toy_geometry
from synthetic import SparseFeatures, firing, random
from toymodels import ensemble, expected_loss, fit, superposition

STRUCTURES = {
    "pentagon": (2 / 5,) * 5,
    "two pairs": (1 / 2,) * 4 + (0,),
    "two alone": (1, 1, 0, 0, 0),
}
TOLERANCE = 0.03


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the model.
    importance: feature i's error weighs importance^i.
    lowest_density: the densities are lowest^linspace(0, 1, n_densities).
    n_densities, n_seeds: models of each.
    steps, batch_size, learning_rate, weight_decay: of AdamW.
    n_samples: on which the final losses rest, the same for all seeds of a density.
    """

    n_features: int = 5
    n_hidden: int = 2
    importance: float = 0.9
    lowest_density: float = 0.05
    n_densities: int = 10
    n_seeds: int = 16
    steps: int = 10_000
    batch_size: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    n_samples: int = 1 << 20


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_loss = jax.random.split(random.key(seed))
    density = settings.lowest_density ** np.linspace(0, 1, settings.n_densities)
    importance = settings.importance ** jnp.arange(settings.n_features)
    model = superposition.Bottleneck(
        settings.n_features, settings.n_hidden, importance=importance
    )
    with job.stage("models"):
        params, history = train(key_fit, model, density, settings, job)
    with job.stage("losses"):
        loss = final_loss(key_loss, model, params, density, settings)
    dimensionality = np.asarray(superposition.dimensionality(params.W))
    structure = np.array([[name_structure(D) for D in row] for row in dimensionality])
    best = loss.argmin(axis=1)
    arrays = {
        "density": density,
        "W": np.asarray(params.W),
        "b": np.asarray(params.b),
        "loss": loss,
        "dimensionality": dimensionality,
        "best": best,
        "importance": np.asarray(importance),
        "structure": structure,
        "step": history.step,
        "curve": history.metrics["loss"].reshape(len(history.step), *loss.shape),
    }
    sums = dimensionality.sum(-1)
    metrics: dict[str, Any] = {
        "density": density.tolist(),
        "best_loss": loss.min(axis=1).tolist(),
        "median_loss": np.median(loss, axis=1).tolist(),
        "best_structure": [str(row[i]) for row, i in zip(structure, best, strict=True)],
        "pentagon_share": (structure == "pentagon").mean(axis=1).tolist(),
        "sum_of_dimensionality": [float(sums.min()), float(sums.max())],
    }
    checks = make_checks(settings, importance, metrics, dimensionality, best)
    return Result(metrics, arrays, checks, table(metrics))


def world(density: Array, n_features: int) -> SparseFeatures:
    """Each feature is 0, or with probability `density` uniform on [0, 1]."""
    return SparseFeatures(
        jnp.eye(n_features), firing.Independent(jnp.full(n_features, density))
    )


def train(
    key: Key[Array, ""],
    model: superposition.Bottleneck,
    density: np.ndarray,
    settings: Settings,
    job: Job,
) -> tuple[superposition.Params, fit.History]:
    """Weights [density, seed, ...] and the losses on the way."""
    key_init, key_data = jax.random.split(key)
    n_members = settings.n_densities * settings.n_seeds
    optimizer = optax.adamw(settings.learning_rate, weight_decay=settings.weight_decay)
    densities = jnp.repeat(jnp.asarray(density), settings.n_seeds)
    inits = jax.vmap(model.init)(jax.random.split(key_init, n_members))
    states = jax.vmap(lambda params: fit.start(params, optimizer))(inits)

    def advance(state, density, key, n):
        source = world(density, model.n_features)
        return fit.advance(
            key,
            state,
            n,
            loss=model.loss,
            sample=lambda key: source.sample(key, settings.batch_size),
            optimizer=optimizer,
        )

    together = ensemble.over_members(advance, n_members, shared=1, sequential=False)
    keys = jax.random.split(key_data, n_members)
    states, history = fit.run(
        jax.jit(lambda states, n: together(states, densities, keys, n)),
        states,
        settings.steps,
        chunk=max(1, settings.steps // 50),
        progress=job.progress("toy models", settings.steps),
        checkpoints=job.checkpoints("models"),
    )
    grid = (settings.n_densities, settings.n_seeds)
    return jax.tree.map(
        lambda leaf: leaf.reshape(*grid, *leaf.shape[1:]), states.params
    ), history


def final_loss(
    key: Key[Array, ""],
    model: superposition.Bottleneck,
    params: superposition.Params,
    density: np.ndarray,
    settings: Settings,
    block: int = 1 << 13,
) -> np.ndarray:
    """Losses [density, seed] on `n_samples` samples, common to the seeds of a density."""

    @jax.jit
    def block_loss(key, params, density):
        batch = world(density, model.n_features).sample(key, block)
        return jax.vmap(lambda one: model.loss(one, batch, (), jnp.int32(0))[0])(params)

    keys = jax.random.split(key, max(1, settings.n_samples // block))
    rows = []
    for i, p in enumerate(density):
        row = jax.tree.map(lambda leaf: leaf[i], params)  # noqa: B023
        rows.append(np.mean([block_loss(k, row, p) for k in keys], axis=0, dtype=float))
    return np.array(rows)


def name_structure(dimensionality: np.ndarray) -> str:
    """Which structure the D_i are, to within 0.03 each; "other" when none."""
    found = np.sort(dimensionality)[::-1]
    for name, expected in STRUCTURES.items():
        if len(expected) == len(found) and np.abs(found - expected).max() <= TOLERANCE:
            return name
    return "other"


def dense_loss(importance: np.ndarray, n_hidden: int) -> float:
    """The loss at density 1: (1/n) (1/12) sum over dropped features of I_i.

    The n_hidden most important features are exact; each other one is answered with its
    mean, which leaves the variance 1/12 of a uniform value.
    """
    dropped = np.sort(importance)[::-1][n_hidden:]
    return float(dropped.sum() / 12 / len(importance))


def make_checks(
    settings: Settings,
    importance: Array,
    metrics: dict[str, Any],
    dimensionality: np.ndarray,
    best: np.ndarray,
) -> list[Check]:
    """What the figure must show at its two ends."""
    dense = dense_loss(np.asarray(importance), settings.n_hidden)
    sparse = expected_loss.optimum(
        settings.n_features,
        settings.n_hidden,
        settings.lowest_density,
        np.asarray(importance, float),
    )
    alone = np.arange(settings.n_features) < settings.n_hidden
    apart = np.abs(np.sort(dimensionality[0, best[0]])[::-1] - alone).max()
    low, high = metrics["sum_of_dimensionality"]
    closed_form = "closed form: importance of the dropped features / (12 n)"
    quadrature = "expected loss minimised by quadrature"
    budget = f"closed form: n_hidden = {settings.n_hidden}"
    share = metrics["pentagon_share"][-1]
    return [
        band("best loss at density 1", metrics["best_loss"][0], dense, 0.02, closed_form),
        Check(
            "distance of the D_i at density 1 from 1, 1, 0, ...",
            float(apart),
            None,
            TOLERANCE,
            "Elhage et al. 2022, introduction",
        ),
        Check(
            "share of pentagons at the lowest density",
            share,
            0.6,
            None,
            "12 to 13 of 16 in an independent run",
        ),
        band(
            "best loss at the lowest density",
            metrics["best_loss"][-1],
            sparse,
            0.02,
            quadrature,
        ),
        band("smallest sum of D_i", low, settings.n_hidden, 0.005, budget),
        band("largest sum of D_i", high, settings.n_hidden, 0.005, budget),
    ]


def band(name: str, value: float, expected: float, share: float, source: str) -> Check:
    """A check that `value` is within a share of what is expected."""
    return Check(name, value, (1 - share) * expected, (1 + share) * expected, source)


COLUMNS = ("density", "best_loss", "median_loss", "pentagon_share", "best_structure")


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per density."""
    header = "{:>8}{:>12}{:>13}{:>11}  {}".format(
        "density", "best loss", "median loss", "pentagons", "best structure"
    )
    rows = zip(*(metrics[column] for column in COLUMNS), strict=True)
    return [
        header,
        *("{:>8.3f}{:>12.5f}{:>13.5f}{:>11.0%}  {}".format(*row) for row in rows),
    ]


EXPERIMENT = Experiment(
    name="toy_intro",
    question="How do five features share two dimensions, from dense to sparse?",
    source="Elhage et al. 2022, introduction and the authors' notebook",
    minutes=2,
    settings=Settings(),
    quick=Settings(n_densities=2, steps=5_000, n_samples=1 << 17),
    run=run,
    figures=(toy_geometry,),
)
