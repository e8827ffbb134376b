"""Do features that fire together get a basis of their own inside the superposition?

"Toy Models of Superposition" (Elhage et al. 2022, "local almost-orthogonal bases"): 20
features in two sets of ten that fire together, ten hidden dimensions, ReLU output. Density
and trainer are not published. Here a set is on with probability 0.03, and for comparison
0.1; eight models of each train from small weights with Adam, the rate falling linearly to
zero, and the best is drawn.

Run:     python -m experiments local_bases
Takes:   about 20 seconds on two cores
Expect:  at 0.03 each 10 x 10 block of W W^T along the diagonal is close to the identity: a
         set has an almost orthogonal basis, though all 20 features share ten dimensions.
         At 0.1 both sets are on together often enough to spoil it for a feature or two
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.superposition import local_bases as figure
from synthetic import SparseFeatures, random
from synthetic.firing.sets import CorrelatedSets
from toymodels import superposition

N_SETS, SET_SIZE = 2, 10
PAPER = (
    "Elhage et al. 2022, local almost-orthogonal bases: the blocks look like the identity"
)


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_hidden: dimensions for the 20 features.
    density: probabilities that a set is on, one group of models each; the first is drawn.
    init_scale: standard deviation of the initial weights.
    n_seeds: models of each.
    steps, batch_size, learning_rate: of Adam; the rate falls linearly to zero.
    n_samples: on which the final losses rest, the same for all seeds of a density.
    """

    n_hidden: int = 10
    density: tuple[float, ...] = (0.03, 0.1)
    init_scale: float = 0.1
    n_seeds: int = 8
    steps: int = 10_000
    batch_size: int = 1024
    learning_rate: float = 2e-3
    n_samples: int = 1 << 17


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train, key_loss = jax.random.split(random.key(seed))
    density = np.array(settings.density)
    model = superposition.Bottleneck(
        N_SETS * SET_SIZE, settings.n_hidden, init_scale=settings.init_scale
    )

    def problem(density):
        """Each set of ten is on with probability `density`; values are uniform."""
        return model, SparseFeatures.of_features(
            CorrelatedSets(jnp.full(N_SETS, density), SET_SIZE)
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
    gram = np.asarray(superposition.gram(params.W))
    best = loss.argmin(axis=1)
    overlap, norms = within_sets(gram)
    metrics = {
        "density": density.tolist(),
        "best_loss": loss.min(axis=1).tolist(),
        "median_loss": np.median(loss, axis=1).tolist(),
        "best_overlap": [float(row[i]) for row, i in zip(overlap, best, strict=True)],
        "best_norms": [row[i].tolist() for row, i in zip(norms, best, strict=True)],
    }
    arrays = {"density": density, "gram": gram, "loss": loss, "best": best}
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def within_sets(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest |W_i . W_j| of two features of one set, and the range of |W_i|^2.

    From W W^T [..., feature, feature]: the first is [...], the second [..., 2].
    """
    same_set = np.kron(np.eye(N_SETS), np.ones((SET_SIZE, SET_SIZE)))
    overlap = np.abs(gram * (same_set - np.eye(len(same_set)))).max((-2, -1))
    squares = np.diagonal(gram, axis1=-2, axis2=-1)
    return overlap, np.stack([squares.min(-1), squares.max(-1)], -1)


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The best model of the first density."""
    low, high = metrics["best_norms"][0]
    return [
        Check.at_most(
            "largest |W_i . W_j| within a set",
            metrics["best_overlap"][0],
            0.15,
            PAPER,
        ),
        Check.at_least("smallest |W_i|^2", low, 0.9, PAPER),
        Check.at_most("largest |W_i|^2", high, 1.1, PAPER),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per density."""
    header = f"{'density':>8}{'best loss':>12}{'within a set':>14}   |W_i|^2"
    columns = ("density", "best_loss", "best_overlap", "best_norms")
    rows = zip(*(metrics[column] for column in columns), strict=True)
    return [
        header,
        *(
            f"{density:>8.3g}{loss:>12.3g}{overlap:>14.3f}   {low:.3f} to {high:.3f}"
            for density, loss, overlap, (low, high) in rows
        ),
    ]


EXPERIMENT = Experiment(
    name="local_bases",
    question="Do features that fire together get an orthogonal basis of their own?",
    source="Elhage et al. 2022, local almost-orthogonal bases",
    minutes=0.4,
    settings=Settings(),
    quick=Settings(n_seeds=4, steps=5_000),
    run=run,
    figures=(figure,),
    expect="Left: two dark red diagonals with almost white blocks around them, for within "
    "a set the features are orthogonal. Outside the frames, between the sets, is what was "
    "given up. The published figure shows the same two blocks. Right, where sets are on "
    "more often, some features are partly dropped.",
)
