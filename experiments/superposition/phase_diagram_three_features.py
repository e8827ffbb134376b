"""Three features in two dimensions: which of them shares, when the third one varies?

The second phase diagram of "Toy Models of Superposition" (Elhage et al. 2022): n = 3,
m = 2, ReLU output. Two features have importance 1, the third r; all have density p. Ten
models per cell, the worst left out, as in the paper. Nothing else is published: here
20 x 20 cells, Adam with a rate that falls from 0.03 to 0, 2,000 steps of 256 fresh samples.

The paper's templates name the direction that W projects out: [0,0,1] drops the third
feature, [1,0,0] an equal one, [0,1,1] stores the third and another as an antipodal pair,
[1,1,0] the two equal ones. Beside them and the trained grid stands the exact optimum, by
Newton's method on the exact expected loss, from seven starts.

One model of ten finds the optimum nearly everywhere, but most pair up whichever features
their random weights point at: the average of nine shows the right phase in three of four
cells only, and its map is blurred. So the best of ten has a map of its own.

Run:     python -m experiments phase_diagram_three_features
         with --set n_importances=40 --set n_densities=40 at the size of the figure for
         two features
Takes:   about 20 seconds on two cores
Expect:  dropped (white) in the upper left, a pair with another feature (orange) in the
         lower left, a dimension of its own (blue) everywhere to the right
"""

from typing import Any

import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.superposition import phases
from experiments.superposition.phases import Map, Settings
from figures.superposition import phase_map
from toymodels.superposition.exact import expected_loss

# W for the directions [0,0,1], [1,0,0], [0,1,1] and [1,1,0] that it projects out.
TEMPLATES = np.array(
    [
        [[1, 0], [0, 1], [0, 0]],
        [[0, 0], [0, 1], [1, 0]],
        [[1, 0], [0, 1], [0, -1]],
        [[1, 0], [-1, 0], [0, 1]],
    ],
    float,
)
SUPERPOSITION = np.array([0.0, 0.0, 1.0, 0.0])
NORM = np.array([0.0, 1.0, 1.0, 1.0])
_ANGLE = 2 * np.pi * np.arange(3) / 3
TRIANGLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], axis=-1)


def run(settings: Settings, seed: int, job: Job) -> Result:
    r, p = phases.axes(settings)
    with job.stage("models"):
        W, loss = phases.train(settings, 3, 2, seed, job)
    with job.stage("exact optimum"):
        exact = exact_optima(r, p)
    maps = {
        "trained": phases.average_without_worst(W, loss),
        "best": phases.measure(phases.best(W, loss)),
        "templates": template_map(r[None, :], p[:, None]),
        "exact": phases.measure(exact),
    }
    phase = {name: phases.phase(cells) for name, cells in maps.items()}
    metrics = {
        "agreement_of_best": phases.agreement(phase["best"], phase["exact"], p),
        "agreement_of_average": phases.agreement(phase["trained"], phase["exact"], p),
    }
    arrays = {"importance": r, "density": p, "loss": loss, "W": W}
    for name, cells in maps.items():
        arrays |= {f"norm/{name}": cells.norm}
        arrays |= {f"superposition/{name}": cells.superposition}
        arrays |= {f"boundary/{name}": phases.edge(phase["exact"], p)}
        arrays |= {f"upright/{name}": np.array(p[-1])}
    of_the_third = np.where(r < 1, template_boundary(r), np.nan)
    arrays["boundary/templates"] = of_the_third
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def template_losses(r: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[template, ...], summed over features."""
    ignored, pair = p / 3 - p**2 / 4, p**2 / 6
    return np.stack([r * ignored, ignored + 0 * r, (1 + r) * pair, 2 * pair + 0 * r])


def template_map(r: np.ndarray, p: np.ndarray) -> Map:
    """The third feature in the best template."""
    best = template_losses(r, p).argmin(axis=0)
    return Map(NORM[best], SUPERPOSITION[best])


def template_boundary(r: np.ndarray) -> np.ndarray:
    """The density below which two features pair up: 4r / (2 + 5r), but 4/7 for r > 1.

    To the left of r = 1 the third feature is one of the two, to the right it is not.
    """
    return np.where(r <= 1, 4 * r / (2 + 5 * r), 4 / 7)


def exact_optima(r: np.ndarray, p: np.ndarray) -> np.ndarray:
    """W [density, importance, 3, 2] of the least minimum from all starts.

    The starts are the templates, slightly off their symmetry, a triangle, and two pairs of
    a lesser third feature.
    """
    lesser = TEMPLATES[2] * np.array([[1], [1], [0.5]])
    starts = np.concatenate([TEMPLATES, [TRIANGLE, lesser, lesser[[1, 0, 2]] * [1, 0.9]]])
    starts = starts + 0.03 * np.array([[1, -1], [-1, 0.5], [0.5, 1]])
    density, extra = (x.ravel() for x in np.meshgrid(p, r, indexing="ij"))
    W = np.broadcast_to(starts, (len(density), *starts.shape))
    small = np.linalg.norm(W, axis=-1) < 0.2
    b = np.where(small, density[:, None, None] / 2, 0)
    importance = phases.importances(extra, 3)[:, None]
    found = expected_loss.minima((W, b), density[:, None, None], importance, max_steps=60)
    return phases.best(found.params.W, np.asarray(found.loss)).reshape(len(p), len(r), 3, 2)


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The trained grid against the exact optimum."""
    return [
        Check.at_least(
            "cells where the best model is in the exact optimum's phase",
            metrics["agreement_of_best"],
            0.95,
            f"the exact optimum, for cells {phases.NEAR:.0%} and more from its boundaries",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """How often trained models agree with the exact optimum."""
    return [
        f"best of a cell in the exact phase: {metrics['agreement_of_best']:.1%} of cells",
        f"average without the worst: {metrics['agreement_of_average']:.1%}",
    ]


EXPERIMENT = Experiment(
    name="phase_diagram_three_features",
    question="Three features in two dimensions: which one shares, as the third varies?",
    source="Elhage et al. 2022, superposition as a phase change (n = 3, m = 2)",
    minutes=0.4,
    settings=Settings(n_importances=20, n_densities=20),
    quick=Settings(n_importances=12, n_densities=12),
    run=run,
    figures=(phase_map,),
    expect="The extra feature is dropped (white) in the upper left, paired with another "
    "(orange) in the lower left, and has its own dimension (blue) wherever it is more "
    "important than the others; the average of nine models is blurred. The published "
    "figure shows the same three regions.",
)
