"""When do neurons hold one feature each, and when several?

The hidden-ReLU model of "Toy Models of Superposition" (Elhage et al. 2022, section
"Superposition in a privileged basis"): ten features of importance 0.75^i, five neurons,
f_hat = relu(relu(f W) W^T + b). As in the paper the best of 1,000 models is kept at every
density. The paper gives no rate, batch or number of steps: here AdamW without weight decay,
a rate that falls linearly to zero, all models on the same data. The best is chosen in two
rounds, all models on a few samples and then the leading twenty on many, always the same
samples for all.

Run:     python -m experiments privileged_basis
Takes:   about 5 minutes on two cores
Expect:  (features held, neurons of one feature) = (5, 5), (6, 3), (7, 2), (8, 0) at
         densities 0.75, 0.3, 0.15, 0.06; three features in two neurons are found by
         about one seed in twenty
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import neuron_codes
from synthetic import SparseFeatures, firing, random
from toymodels import superposition

PAPER = "Elhage et al. 2022, superposition in a privileged basis"
INDEPENDENT = "an independent run, best of 40 seeds"
HELD = 0.5
# density: (features held, neurons of one feature)
PUBLISHED = {0.75: (5, 5), 0.3: (6, 3), 0.15: (7, 2), 0.06: (8, 0)}
# The best losses of an independent run with 40 models, for importance 0.75^i from i = 0.
BEST_OF_40 = {0.3: 3.86e-3 / 0.75, 0.15: 2.02e-3 / 0.75, 0.06: 5.9e-4 / 0.75}


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the model.
    importance: feature i's error weighs importance^i.
    densities: probabilities that a feature is present.
    n_seeds: models per density.
    init_scale: standard deviation of the initial weights.
    steps, batch_size, learning_rate: of Adam; the rate falls linearly to zero.
    n_finalists: how many models of a density reach the second round.
    n_samples_first, n_samples: on which the rounds' losses rest.
    """

    n_features: int = 10
    n_hidden: int = 5
    importance: float = 0.75
    densities: tuple[float, ...] = (0.75, 0.3, 0.15, 0.1, 0.06, 0.02, 0.01)
    n_seeds: int = 1000
    init_scale: float = 0.36
    steps: int = 3_000
    batch_size: int = 256
    learning_rate: float = 5e-3
    n_finalists: int = 20
    n_samples_first: int = 1 << 15
    n_samples: int = 1 << 20


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train, key_first, key_second = jax.random.split(random.key(seed), 3)
    density = np.array(settings.densities)
    importance = settings.importance ** jnp.arange(settings.n_features)
    model = superposition.HiddenReLU(
        settings.n_features, settings.n_hidden, importance, settings.init_scale
    )

    def problem(density):
        """Each feature is 0, or with probability `density` uniform on [0, 1]."""
        probability = jnp.full(settings.n_features, density)
        return model, SparseFeatures.of_features(firing.Independent(probability))

    with job.stage("models"):
        params, history = superposition.train(
            key_train,
            problem,
            density,
            n_seeds=settings.n_seeds,
            steps=settings.steps,
            batch_size=settings.batch_size,
            optimizer=optax.adam(
                optax.linear_schedule(settings.learning_rate, 0, settings.steps)
            ),
            share_draws=True,
            progress=job.progress("toy models", settings.steps),
            checkpoints=job.checkpoints("models"),
        )
    with job.stage("losses"):
        loss = superposition.losses(
            key_first, problem, density, params, settings.n_samples_first
        )
        row = np.arange(len(density))
        finalists = loss.argsort(axis=1)[:, : settings.n_finalists]
        leading = jax.tree.map(lambda x: x[row[:, None], finalists], params)
        final_loss = superposition.losses(
            key_second, problem, density, leading, settings.n_samples
        )
    best = finalists[row, final_loss.argmin(axis=1)]
    W = np.asarray(params.W)
    held = (np.linalg.norm(W, axis=-1) > HELD).sum(axis=-1)
    alone = np.asarray(superposition.monosemantic(params.W)).sum(axis=-1)
    same_code = (held == held[row, best][:, None]) & (alone == alone[row, best][:, None])
    arrays = {
        "density": density,
        "W": W[row, best],
        "b": np.asarray(params.b)[row, best],
        "loss": loss,
        "best": best,
        "held": held,
        "monosemantic": alone,
        "importance": np.asarray(importance),
        "step": history.step,
        "curve": np.median(history.metrics["loss"], axis=-1),
    }
    counts = superposition.features_per_neuron(arrays["W"])
    metrics: dict[str, Any] = {
        "density": density.tolist(),
        "best_loss": final_loss.min(axis=1).tolist(),
        "median_loss": np.median(loss, axis=1).tolist(),
        "features_held": held[row, best].tolist(),
        "monosemantic_neurons": alone[row, best].tolist(),
        "features_per_neuron": np.sort(np.asarray(counts), axis=1).tolist(),
        "share_with_same_counts": same_code.mean(axis=1).tolist(),
        "share_within_1_percent": (loss < 1.01 * loss.min(axis=1, keepdims=True))
        .mean(axis=1)
        .tolist(),
    }
    checks = make_checks(settings, np.asarray(importance), metrics)
    return Result(metrics, arrays, checks, table(metrics))


def loss_without_superposition(density: float, importance: np.ndarray, n_hidden: int):
    """(p/3 - p^2/4) sum_{i >= n_hidden} I_i / n: one exact feature per neuron.

    Every other feature is answered with its mean, which leaves its variance.
    """
    dropped = np.sort(importance)[::-1][n_hidden:].sum()
    return (density / 3 - density**2 / 4) * dropped / len(importance)


def make_checks(
    settings: Settings, importance: np.ndarray, metrics: dict[str, Any]
) -> list[Check]:
    """What the best model of each published density must hold."""
    checks = []
    for i, density in enumerate(settings.densities):
        at = f"at density {density:g}"
        loss = metrics["best_loss"][i]
        if density in PUBLISHED:
            held, alone = PUBLISHED[density]
            found = metrics["features_held"][i]
            checks.append(Check(f"features held {at}", found, held, held, PAPER))
            found = metrics["monosemantic_neurons"][i]
            checks.append(Check(f"neurons of one feature {at}", found, alone, alone, PAPER))
        if density in BEST_OF_40:
            known = BEST_OF_40[density]
            checks.append(
                Check(f"best loss {at}", loss, 0.93 * known, 1.01 * known, INDEPENDENT)
            )
        if density == max(settings.densities):
            exact = loss_without_superposition(density, importance, settings.n_hidden)
            source = "closed form: five exact features, the mean for the others"
            checks.append(
                Check(f"best loss {at}", loss, 0.98 * exact, 1.005 * exact, source)
            )
    return checks


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per density."""
    header = (
        " density   best loss  median loss  held  monosemantic  "
        "same counts  features per neuron"
    )
    columns = (
        "density",
        "best_loss",
        "median_loss",
        "features_held",
        "monosemantic_neurons",
        "share_with_same_counts",
        "features_per_neuron",
    )
    line = "{:>8.3g}{:>12.3e}{:>13.3e}{:>6d}{:>14d}{:>13.1%}  {}"
    return [
        header,
        *(line.format(*row) for row in zip(*(metrics[c] for c in columns), strict=True)),
    ]


EXPERIMENT = Experiment(
    name="privileged_basis",
    question="When do neurons hold one feature each, and when several?",
    source=PAPER,
    minutes=5,
    settings=Settings(),
    quick=Settings(densities=(0.75, 0.3), n_seeds=200, n_samples=1 << 18),
    run=run,
    figures=(neuron_codes,),
    expect="From left to right the five neurons change from one feature each, over three "
    "neurons of one feature beside two that share three, to neurons that all hold several. "
    "The published figure shows the same stages.",
)
