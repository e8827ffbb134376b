"""What does a price on hidden activity do to superposition?

"Toy Models of Superposition" (Elhage et al. 2022) names a cheap way to be rid of it: add
lambda ||h||_1 to the loss. Features below a threshold of importance are then not learned at
all, and superposition ends, at a cost in performance. The section gives no sizes; here are
models with a ReLU output and 20 features of importance 0.7^i in 5 dimensions.

The price makes the coordinates of h special: it is least along one of them. A feature of
importance I with a dimension of its own and norm w (values uniform on [0, 1], density p)
costs, at its best bias b = p (1 - w^2) / 2,

    I (p/3 - p^2/4) (1 - w^2)^2 + lambda w p / 2.

With c = lambda (p/2) / (I (p/3 - p^2/4)) this is least at the larger root of
4 w (1 - w^2) = c, and less than without the feature where c < 2 w - w^3 at its largest, at
w = sqrt(2/3): c < 1.0887. So a feature is worth its price where

    lambda < 1.0887 I (2/3 - p/2),

and what is held has a norm of 0.816 or more. In superposition a feature costs more. (Two
features that have come to lie on the two sides of one coordinate stay there while another
is empty, for the way across is dear: of eight seeds, on seed 0, the best had such a pair
at lambda 0.19, and two of nine checks failed. After that there were 24 seeds, batches of
256 instead of 512, and no lambda of 0.01; so seed 0 is no fresh seed. 102 was.)

Run:     python -m experiments hidden_penalty
Takes:   about 2 minutes on two cores, other work beside it
Expect:  without a penalty nine or ten features in superposition; with it as many as are
         worth their price, each along a coordinate, and with fewer of them than dimensions
         no superposition, norms and error as in closed form
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.superposition import hidden_penalty
from synthetic import SparseFeatures, firing, random
from toymodels import superposition

PAPER = "Elhage et al. 2022, approach 1 to models without superposition"
FORM = "closed form: what a feature is worth with a dimension of its own"
WORTH = 4 / 3 * np.sqrt(2 / 3)  # the largest 2 w - w^3
HELD = 0.5


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden, importance: of the model; importance^i.
    density: probability that a feature is present.
    penalties: lambda, from 0; the rest lie between the thresholds of two features.
    n_seeds: models of each penalty, of which the one with the least total loss is shown.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in a straight line.
    n_samples: on which losses rest.
    """

    n_features: int = 20
    n_hidden: int = 5
    importance: float = 0.7
    density: float = 0.1
    penalties: tuple[float, ...] = (0.0, 0.03, 0.06, 0.095, 0.135, 0.19, 0.28, 0.39, 0.56)
    n_seeds: int = 24
    steps: int = 4_000
    batch_size: int = 256
    learning_rate: float = 5e-3
    n_samples: int = 1 << 16


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_train, key_loss = jax.random.split(random.key(seed))
    importance = settings.importance ** np.arange(settings.n_features)
    penalties = np.array(settings.penalties)
    inner = superposition.Bottleneck(
        settings.n_features, settings.n_hidden, importance=importance
    )

    def problem(weight):
        law = firing.Independent(jnp.full(settings.n_features, settings.density))
        model = superposition.PenalisedHidden(inner, weight)
        return model, SparseFeatures.of_features(law)

    with job.stage("models"):
        params, _ = superposition.train(
            key_train,
            problem,
            penalties,
            n_seeds=settings.n_seeds,
            steps=settings.steps,
            batch_size=settings.batch_size,
            optimizer=optax.adam(
                optax.linear_schedule(settings.learning_rate, 0, settings.steps)
            ),
            share_draws=True,
            progress=job.progress("models", settings.steps),
            checkpoints=job.checkpoints("models"),
        )

    def measured(problem):
        key = jax.random.clone(key_loss)
        return superposition.losses(key, problem, penalties, params, settings.n_samples)

    with job.stage("losses"):
        total = measured(problem)
        error = measured(lambda weight: (inner, problem(weight)[1]))
    best = total.argmin(axis=1)
    row = np.arange(len(penalties))
    W = np.asarray(params.W)[row, best]
    arrays = describe(W) | {
        "penalty": penalties,
        "W": W,
        "error": error[row, best],
        "norms_of_all": np.linalg.norm(np.asarray(params.W), axis=-1),
    }
    arrays |= alone(penalties, importance, settings.density)
    metrics: dict[str, Any] = {
        "penalty": penalties.tolist(),
        "held": (arrays["norm"] > HELD).sum(axis=1).tolist(),
        "worth": (arrays["norm_alone"] > 0).sum(axis=1).tolist(),
        "error": arrays["error"].tolist(),
        "error_alone": arrays["error_alone"].tolist(),
        "n_hidden": settings.n_hidden,
    }
    checks = make_checks(settings, arrays)
    return Result(metrics, arrays, checks, table(arrays))


def describe(W: np.ndarray) -> dict[str, np.ndarray]:
    """[penalty, feature]: norm, superposition, and share along one coordinate.

    The share is 1 for a row along a coordinate and at least 1 / sqrt(n_hidden).
    """
    norm = np.linalg.norm(W, axis=-1)
    return {
        "norm": norm,
        "superposition": np.asarray(superposition.feature_superposition(jnp.asarray(W))),
        "along": np.abs(W).max(axis=-1) / np.maximum(norm, 1e-9),
    }


def alone(penalties, importance: np.ndarray, density: float) -> dict[str, np.ndarray]:
    """What features with a dimension each come to, in closed form.

    Norms [penalty, feature], 0 where a feature is not worth its price, and the error of all
    of them, per feature as the model's.
    """
    variance = density / 3 - density**2 / 4
    price = np.asarray(penalties)[:, None] * density / 2 / (importance * variance)
    # Of 4 w - 4 w^3 = c: w = cos(t) 2 / sqrt(3) with cos(3 t) = -c 3 sqrt(3) / 8.
    cosine = -np.minimum(price * 3 * np.sqrt(3) / 8, 1)
    root = 2 / np.sqrt(3) * np.cos(np.arccos(cosine) / 3)
    norm = np.where(price < WORTH, root, 0.0)
    error = (importance * variance * (1 - norm**2) ** 2).mean(axis=1)
    return {"norm_alone": norm, "error_alone": error}


def make_checks(settings: Settings, arrays: dict[str, np.ndarray]) -> list[Check]:
    """Who is held, and that superposition ends."""
    norm, alone = arrays["norm"], arrays["norm_alone"]
    held, worth = norm > HELD, alone > 0
    n_worth = worth.sum(axis=1)
    few, fit = n_worth < settings.n_hidden, n_worth <= settings.n_hidden
    ratio = arrays["error"][few] / arrays["error_alone"][few]
    priced = arrays["penalty"] >= 0.03
    shared = arrays["superposition"][few][held[few]]
    along = arrays["along"][priced][held[priced]]
    one_way = "closed form: the L1 norm of a row of length w is least along a coordinate"
    least, most = "error over its closed form there, least", "the same, largest"
    return [
        Check.within(
            "features held without a penalty",
            float(held[0].sum()),
            settings.n_hidden + 1,
            settings.n_features,
            "Elhage et al. 2022: superposition",
        ),
        Check.at_most(
            "norm of a feature that is not worth its price, largest",
            largest(norm[~worth]),
            HELD,
            FORM,
        ),
        Check.at_least(
            "norm of a feature worth its price, where dimensions suffice, least",
            smallest(norm[fit][worth[fit]]),
            HELD,
            FORM,
        ),
        Check.within(
            "superposition of a held feature, where dimensions are left, largest",
            largest(shared),
            0,
            0.02,
            f"{PAPER}: it ends",
        ),
        Check.within(
            "distance of a norm from its closed form there, largest",
            largest(np.abs(norm - alone)[few]),
            0,
            0.03,
            FORM,
        ),
        Check.within(least, smallest(ratio), 0.97, 1.03, FORM),
        Check.within(most, largest(ratio), 0.97, 1.03, FORM),
        Check.within(
            "held features' share along one coordinate, from lambda 0.03, least",
            smallest(along),
            0.98,
            1 + 1e-6,
            one_way,
        ),
        Check.at_least(
            "error at the largest penalty over that without one",
            float(arrays["error"][-1] / arrays["error"][0]),
            2,
            f"{PAPER}: at a cost in performance",
        ),
    ]


def largest(values: np.ndarray) -> float | None:
    """None of no values."""
    return float(values.max()) if values.size else None


def smallest(values: np.ndarray) -> float | None:
    """None of no values."""
    return float(values.min()) if values.size else None


def table(arrays: dict[str, np.ndarray]) -> list[str]:
    """One line per penalty."""
    lines = [f"{'lambda':>7}{'held':>6}{'worth':>7}{'superposition':>15}{'error':>10}"]
    lines[0] += f"{'in closed form':>16}"
    for i, penalty in enumerate(arrays["penalty"]):
        held = arrays["norm"][i] > HELD
        most = np.max(arrays["superposition"][i], where=held, initial=0)
        worth = (arrays["norm_alone"][i] > 0).sum()
        lines.append(
            f"{penalty:>7.3g}{held.sum():>6}{worth:>7}{most:>15.3f}"
            f"{arrays['error'][i]:>10.5f}{arrays['error_alone'][i]:>16.5f}"
        )
    return lines


EXPERIMENT = Experiment(
    name="hidden_penalty",
    question="What does a price on hidden activity do to superposition?",
    source=PAPER,
    minutes=2,
    settings=Settings(),
    quick=Settings(penalties=(0.0, 0.06, 0.19, 0.39), n_seeds=16),
    run=run,
    figures=(hidden_penalty,),
    expect="Left: no feature below the line of closed form is held. Middle: superposition "
    "ends where fewer features are worth their price than there are dimensions. Right: the "
    "error rises and then follows the closed form. The paper shows no figure of this.",
)
