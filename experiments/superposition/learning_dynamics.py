"""How does superposition come about during training: smoothly, or in jumps and stages?

Two pictures of "Toy Models of Superposition" (Elhage et al. 2022, learning dynamics).
Energy levels: many equal features in a model where each one ends in an antipodal pair or
dropped; every feature's dimensionality D_i is followed. The paper takes one of its models
of uniform superposition without naming it; here there are 200 features, 20 hidden
dimensions and density 0.4, four models, and the one with the largest jump is drawn.
Geometric transformations: six features in two sets of three that fire together, three
hidden dimensions, followed from small weights to the end in 64 models. Density and trainer
are not published; both use Adam with a constant rate of 2e-3.

Run:     python -m experiments learning_dynamics
Takes:   about 35 seconds on two cores
Expect:  dimensionalities that jump between levels, also late, when all else is at rest,
         and the loss drops each time, until all of them are 0 or 1/2; and, in nine of ten
         models of the second kind, an octahedron whose opposite corners are features of
         different sets
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.superposition import energy_levels, learning_stages
from synthetic import SparseFeatures, firing, random
from synthetic.firing.sets import CorrelatedSets
from toymodels import superposition
from toymodels.training import loop

LEVELS = (0.0, 0.5)
NEAR = 0.03
WINDOW = 0.02
START = 0.1
QUIET = 0.05
OCTAHEDRON = "octahedron"
PAIRS = "Elhage et al. 2022, learning dynamics: a model where all end as antipodal pairs"
JUMPS = "Elhage et al. 2022, learning dynamics: features jump between levels"
DROPS = "Elhage et al. 2022, learning dynamics: the loss drops with the jump"
MOST = "Elhage et al. 2022, learning dynamics: the most common end (over half is that)"
PAIR = "closed form: an octahedron is three antipodal pairs"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden, density: of the models with energy levels.
    n_seeds, steps, n_rows: how many of them, for how long, and how often they are seen.
    set_density: probability that a set of three is on.
    set_seeds, set_steps, set_rows: the same for the models with two sets.
    init_scale: standard deviation of the initial weights of the latter.
    batch_size, learning_rate: of Adam, both kinds.
    n_samples: fixed samples on which the recorded losses rest.
    """

    n_features: int = 200
    n_hidden: int = 20
    density: float = 0.4
    n_seeds: int = 4
    steps: int = 5_000
    n_rows: int = 200
    set_density: float = 0.05
    set_seeds: int = 64
    set_steps: int = 5_000
    set_rows: int = 200
    init_scale: float = 0.1
    batch_size: int = 1024
    learning_rate: float = 2e-3
    n_samples: int = 1 << 13


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_levels, key_sets = jax.random.split(random.key(seed))
    wide = superposition.Bottleneck(settings.n_features, settings.n_hidden)
    narrow = superposition.Bottleneck(6, 3, init_scale=settings.init_scale)

    def independent(density):
        """Each feature is present with probability `density`."""
        return wide, SparseFeatures.of_features(
            firing.Independent(jnp.full(settings.n_features, density))
        )

    def two_sets(density):
        """Features 0, 1, 2 fire together, and so do 3, 4, 5."""
        return narrow, SparseFeatures.of_features(CorrelatedSets(jnp.full(2, density), 3))

    with job.stage("energy levels"):
        levels = follow(
            key_levels,
            independent,
            settings.density,
            settings,
            job,
            name="energy levels",
            seeds=settings.n_seeds,
            steps=settings.steps,
            rows=settings.n_rows,
        )
    with job.stage("stages"):
        stages = follow(
            key_sets,
            two_sets,
            settings.set_density,
            settings,
            job,
            name="stages",
            seeds=settings.set_seeds,
            steps=settings.set_steps,
            rows=settings.set_rows,
        )
    jumps = [
        find_jump(D, loss) for D, loss in zip(levels["D"], levels["loss"], strict=True)
    ]
    shown = int(np.argmax([jump["size"] for jump in jumps]))
    states = [name_end_state(W) for W in stages["W"][:, -1]]
    metrics = {
        "settled_share": float(is_settled(levels["D"][:, -1]).mean()),
        "jumps": jumps,
        "shown": jumps[shown],
        "end_states": dict(Counter(states).most_common()),
        "octahedra": states.count(OCTAHEDRON) / len(states),
        "first_octahedron": states.index(OCTAHEDRON) if OCTAHEDRON in states else 0,
        "octahedron_distance": octahedron_distance(stages["D"][:, -1], states),
    }
    arrays = {
        "levels/step": levels["step"],
        "levels/D": levels["D"][shown],
        "levels/loss": levels["loss"][shown],
        "sets/step": stages["step"],
        "sets/loss": stages["loss"],
        "sets/W": stages["W"][metrics["first_octahedron"]],
        "sets/D": stages["D"][metrics["first_octahedron"]],
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def follow(
    key: jax.Array,
    problem: Callable[[Any], Any],
    density: float,
    settings: Settings,
    job: Job,
    *,
    name: str,
    seeds: int,
    steps: int,
    rows: int,
) -> dict[str, np.ndarray]:
    """Trains `seeds` models and returns [seed, row, ...] of W, D and the loss on samples
    that stay the same, and the step of each row.
    """
    key_train, key_samples = jax.random.split(key)
    model, world = problem(density)
    features = world.sample(key_samples, settings.n_samples).features

    def look(state: loop.State) -> dict[str, jax.Array]:
        """The model at the end of a row."""
        loss, _ = model.loss(state.params, features, (), state.step)
        W = state.params.W
        return {"W": W, "D": superposition.dimensionality(W), "fixed_loss": loss}

    _, history = superposition.train(
        key_train,
        problem,
        np.array([density]),
        n_seeds=seeds,
        steps=steps,
        batch_size=settings.batch_size,
        optimizer=optax.adam(settings.learning_rate),
        measure=look,
        n_rows=rows,
        progress=job.progress(name, steps),
        checkpoints=job.checkpoints(name),
    )
    found = {k: np.moveaxis(v[:, 0], 1, 0) for k, v in history.metrics.items()}
    return {
        "W": found["W"],
        "D": found["D"],
        "loss": found["fixed_loss"],
        "step": history.step,
    }


def is_settled(D: np.ndarray) -> np.ndarray:
    """Whether each D_i is within 0.03 of 0 (dropped) or 1/2 (an antipodal pair)."""
    return np.min([np.abs(D - level) for level in LEVELS], axis=0) <= NEAR


def find_jump(D: np.ndarray, loss: np.ndarray) -> dict[str, float]:
    """The largest change of a D_i within 2 % of training, after the first tenth of it.

    Args:
        D: [row, feature].
        loss: [row], on fixed samples.

    Returns:
        size: the change. row: where its window begins. loss_fall: the share of the loss
        that goes in that window. rank: the share of quiet windows, in which no D_i changes
        by 0.05, where the loss falls less.
    """
    span, start = max(1, round(WINDOW * len(D))), round(START * len(D))
    change = np.abs(D[span:] - D[:-span]).max(axis=1)[start:]
    fall = (1 - loss[span:] / loss[:-span])[start:]
    at, quiet = int(change.argmax()), change < QUIET
    return {
        "size": float(change[at]),
        "row": at + start,
        "loss_fall": float(fall[at]),
        "rank": float((fall[quiet] < fall[at]).mean()) if quiet.any() else 0.0,
    }


def name_end_state(W: np.ndarray) -> str:
    """What six features in two sets of three (rows of `W` [6, 3]) have become."""
    norms = np.linalg.norm(W, axis=-1)
    if (norms < 0.5).any():
        return f"{(norms < 0.5).sum()} dropped"
    cosines = W @ W.T / np.outer(norms, norms)
    opposite = cosines.argmin(axis=1)
    if not (np.sort(opposite) == np.arange(6)).all() or cosines.min(axis=1).max() > -0.97:
        return "other"
    across = (opposite // 3 != np.arange(6) // 3).all()
    return OCTAHEDRON if across else "pairs within a set"


def octahedron_distance(D: np.ndarray, states: list[str]) -> float | None:
    """The largest |D_i - 1/2| of all models that ended as octahedra; None of no model."""
    octahedra = D[np.array(states) == OCTAHEDRON]
    return float(np.abs(octahedra - 0.5).max()) if len(octahedra) else None


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """Levels, jumps and the end state."""
    settled, octahedra = metrics["settled_share"], metrics["octahedra"]
    size, rank = metrics["shown"]["size"], metrics["shown"]["rank"]
    distance = metrics["octahedron_distance"]
    return [
        Check.at_least("share of features that end at D = 0 or 1/2", settled, 0.95, PAIRS),
        Check.at_least("largest jump of a D within 2 % of training", size, 0.2, JUMPS),
        Check.at_least(
            "share of quiet windows where the loss falls less", rank, 0.95, DROPS
        ),
        Check.at_least("share of octahedra across the sets", octahedra, 0.5, MOST),
        Check.at_most("largest distance of their D from 1/2", distance, NEAR, PAIR),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """The jump that is shown, and the end states."""
    jump = metrics["shown"]
    ends = ", ".join(f"{n} x {name}" for name, n in metrics["end_states"].items())
    return [
        f"features at D = 0 or 1/2: {metrics['settled_share']:.1%}",
        f"largest jump: {jump['size']:.2f}, with {jump['loss_fall']:.1%} of the loss",
        f"two sets of three end as {ends}",
    ]


EXPERIMENT = Experiment(
    name="learning_dynamics",
    question="Does superposition come about smoothly, or in jumps and stages?",
    source="Elhage et al. 2022, learning dynamics",
    minutes=0.6,
    settings=Settings(),
    quick=Settings(n_seeds=2, set_seeds=32),
    run=run,
    figures=(energy_levels, learning_stages),
    expect="In the first figure the lines jump between levels and end at 0 or 1/2; the "
    "shaded window holds the largest jump after the start, and the loss drops in it. The "
    "published figure shows two such jumps. In the second figure two triangles, the sets, "
    "unfold into an octahedron in stages; the published figure shows such stages too.",
)
