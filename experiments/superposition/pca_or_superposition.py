"""When does a model merge correlated features, as PCA would, instead of superposing them?

"Toy Models of Superposition" (Elhage et al. 2022, "collapsing of correlated features"):
three pairs of features that fire together, two hidden dimensions, ReLU output. A pair is
collapsed when its two features share one direction: the model then stores their sum, as PCA
would. The paper gives regimes of the density p, the probability that a pair is on: 0.5 and
more is most like PCA, in 0.25 to 0.5 all three pairs are collapsed, in 0.15 to 0.2 two, in
0.05 to 0.15 one, below 0.05 none. Trainer and number of seeds are not published; here 16
seeds train with Adam, rate 2e-3 falling linearly to zero, and the best of them counts.

Run:     python -m experiments pca_or_superposition
Takes:   about 25 seconds on two cores
Expect:  3, 2, 1 and 0 collapsed pairs at p = 0.5, 0.18, 0.1 and 0.01; at 0.25 and 0.35
         the best model has two collapsed pairs, where the paper says three, though at
         0.35 most seeds end with three
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.superposition.correlated_features import COLLAPSED, partner_cosines
from figures.superposition import pca_or_superposition as figure
from synthetic import SparseFeatures, random
from synthetic.firing.sets import CorrelatedSets
from toymodels import superposition

PUBLISHED = {0.5: 3, 0.18: 2, 0.1: 1, 0.01: 0}
N_PAIRS = 3


@dataclass(frozen=True)
class Settings:
    """Attributes:
    density: probabilities that a pair is on, falling; an even number of them shares out
        evenly over two cores.
    n_seeds: models of each.
    steps, batch_size, learning_rate: of Adam; the rate falls linearly to zero.
    n_samples: on which the final losses rest, the same for all seeds of a density.
    """

    density: tuple[float, ...] = (0.7, 0.5, 0.35, 0.25, 0.18, 0.14, 0.1, 0.05, 0.03, 0.01)
    n_seeds: int = 16
    steps: int = 8_000
    batch_size: int = 1024
    learning_rate: float = 2e-3
    n_samples: int = 1 << 18


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train, key_loss = jax.random.split(random.key(seed))
    density = np.array(settings.density)
    model = superposition.Bottleneck(2 * N_PAIRS, 2)

    def problem(density):
        """Each pair is on with probability `density`; values are uniform on [0, 1]."""
        return model, SparseFeatures.of_features(
            CorrelatedSets(jnp.full(N_PAIRS, density), 2)
        )

    with job.stage("models"):
        params, _ = superposition.train(
            key_train,
            problem,
            density,
            n_seeds=settings.n_seeds,
            steps=settings.steps,
            batch_size=settings.batch_size,
            optimizer=optax.adam(
                optax.linear_schedule(settings.learning_rate, 0, settings.steps)
            ),
            progress=job.progress("toy models", settings.steps),
            checkpoints=job.checkpoints("models"),
        )
    with job.stage("losses"):
        loss = superposition.losses(key_loss, problem, density, params, settings.n_samples)
    W, best = np.asarray(params.W), loss.argmin(axis=1)
    collapsed = count_collapsed(W)
    metrics = {
        "density": density.tolist(),
        "best_loss": loss.min(axis=1).tolist(),
        "best_collapsed": [int(row[i]) for row, i in zip(collapsed, best, strict=True)],
        "share_of_seeds": [
            [float((row == count).mean()) for count in range(N_PAIRS + 1)]
            for row in collapsed
        ],
        "best_norms": [
            np.sort(np.linalg.norm(row[i], axis=-1)).tolist()
            for row, i in zip(W, best, strict=True)
        ],
    }
    arrays = {
        "density": density,
        "W": W,
        "loss": loss,
        "best": best,
        "collapsed": collapsed,
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def count_collapsed(W: np.ndarray) -> np.ndarray:
    """[...]: how many pairs have partners with a cosine above 0.9."""
    return (partner_cosines(W) > COLLAPSED).sum(-1)


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The count of the best model at every published density that was run."""
    found = dict(zip(metrics["density"], metrics["best_collapsed"], strict=True))
    return [
        Check.within(
            f"collapsed pairs at density {density:g}",
            found[density],
            expected,
            expected,
            "Elhage et al. 2022 and an independent run of 12 seeds",
        )
        for density, expected in PUBLISHED.items()
        if density in found
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per density."""
    header = (
        f"{'density':>8}{'best loss':>12}{'collapsed':>11}   share of seeds with 0 1 2 3"
    )
    columns = ("density", "best_loss", "best_collapsed", "share_of_seeds")
    rows = zip(*(metrics[column] for column in columns), strict=True)
    return [
        header,
        *(
            f"{density:>8.3g}{loss:>12.3g}{count:>11}   "
            + " ".join(f"{share:>4.0%}" for share in shares)
            for density, loss, count, shares in rows
        ),
    ]


EXPERIMENT = Experiment(
    name="pca_or_superposition",
    question="When does a model merge correlated features instead of superposing them?",
    source="Elhage et al. 2022, collapsing of correlated features",
    minutes=0.4,
    settings=Settings(),
    quick=Settings(density=(0.5, 0.18, 0.1, 0.01), n_seeds=12),
    run=run,
    figures=(figure,),
    expect="From left to right the best model has fewer pairs on one line: 3 where pairs "
    "are often on, then 2, 1, and 0 in a hexagon where they are rarely on. The paper "
    "describes the same order; for densities 0.25 to 0.35 it says three collapsed pairs, "
    "where the best model here has two, while at 0.35 most seeds have three.",
)
