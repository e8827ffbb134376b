"""When is a second feature dropped, kept alone, or stored beside the first?

The phase diagram of "Toy Models of Superposition" (Elhage et al. 2022): two features, one
hidden dimension, ReLU output. The first feature has importance 1; the importance r of the
extra one and the density p of both vary. Ten models per cell; the one with the highest loss
is left out and the others averaged, as in the paper. Resolution, optimizer, steps and batch
are not published: here 50 x 50 cells, Adam with a rate that falls from 0.03 to 0, 2,000
steps of 256 fresh samples.

Beside the trained grid stand two maps that need no training. The paper's templates have
fixed weights and biases: drop a feature, or store both as an antipodal pair. The exact
optimum may shorten its weights and use its biases, so its boundaries lie elsewhere (at
r = 1/2 where p = 0.48, the templates' at 0.44), and around r = 1 the pair fades away
without a sharp boundary.

A model that starts with both weights of one sign may end with one feature dropped, whatever
the density. So the average of nine models is paler than the exact optimum near r = 1 and at
the lowest densities, where 2,000 steps hold few events; the best of the ten is not.

Run:     python -m experiments phase_diagram
Takes:   about 35 seconds on two cores
Expect:  three maps alike: white (dropped) in the upper left, blue (alone) in the upper
         right, orange (an antipodal pair) below, and a triple point at r = 1
"""

from typing import Any

import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.superposition import phases
from experiments.superposition.phases import Map, Settings
from figures.superposition import phase_map
from toymodels.superposition.exact import expected_loss

BY_QUADRATURE = "an independent minimisation of the expected loss by 2-d quadrature"
LOSSES = {0.05: 0.000832, 0.1: 0.00332, 0.2: 0.013184, 0.3: 0.029307, 0.5: 0.076279}
BOUNDARY = {0.1: 0.181, 0.3: 0.376, 0.5: 0.485, 2.0: 0.485, 3.0: 0.398, 10.0: 0.181}
STEP = 0.01  # between the densities at which the boundary is looked for
# Rows W_1, W_2 to descend from: one feature alone, a pair, a lopsided pair.
STARTS = np.array([[1, 0.1], [0.1, 1], [1, -1], [1, -0.4], [0.4, -1]])[..., None]
TEMPLATES = np.array([[1, 0], [0, 1], [1, -1]])[..., None]


def run(settings: Settings, seed: int, job: Job) -> Result:
    r, p = phases.axes(settings)
    with job.stage("models"):
        W, loss = phases.train(settings, 2, 1, seed, job)
    with job.stage("exact optimum"):
        exact, losses, boundary = exact_optima(r, p)
    maps = {
        "trained": phases.average_without_worst(W, loss),
        "best": phases.measure(phases.best(W, loss)),
        "templates": template_map(r[None, :], p[:, None]),
        "exact": phases.measure(exact),
    }
    phase = {name: phases.phase(cells) for name, cells in maps.items()}
    metrics = {
        "loss_at_equal_importance": dict(zip(map(str, LOSSES), losses, strict=True)),
        "boundary": dict(zip(map(str, BOUNDARY), boundary, strict=True)),
        "agreement_of_best": phases.agreement(phase["best"], phase["exact"], p),
        "agreement_of_average": phases.agreement(phase["trained"], phase["exact"], p),
    }
    arrays = {"importance": r, "density": p, "loss": loss, "W": W[..., 0]}
    for name, cells in maps.items():
        arrays |= {f"norm/{name}": cells.norm}
        arrays |= {f"superposition/{name}": cells.superposition}
        arrays |= {f"boundary/{name}": phases.edge(phase["exact"], p)}
    arrays["boundary/templates"] = template_boundary(r)
    for name in maps:
        meeting = np.interp(0, np.log(r), arrays[f"boundary/{name}"])
        arrays[f"upright/{name}"] = np.array(meeting)
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def template_losses(r: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[template, ...], summed over features: drop the extra, drop the first, a pair."""
    ignored = p / 3 - p**2 / 4
    return np.stack([r * ignored, ignored + 0 * r, (1 + r) * p**2 / 6])


def template_map(r: np.ndarray, p: np.ndarray) -> Map:
    """The extra feature in the best template."""
    best = template_losses(r, p).argmin(axis=0)
    return Map(np.array([0.0, 1.0, 1.0])[best], np.array([0.0, 0.0, 1.0])[best])


def template_boundary(r: np.ndarray) -> np.ndarray:
    """The density below which the antipodal pair is the best template.

    4r / (2 + 5r) against dropping the extra feature, 4 / (5 + 2r) against dropping the
    first: 4/7 where they meet, at r = 1.
    """
    return np.minimum(4 * r / (2 + 5 * r), 4 / (5 + 2 * r))


def exact_optima(r: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, list, list]:
    """The exact optimum, by Newton's method from every start, all in one program.

    Returns:
        W [density, importance, 2, 1] on the grid; the loss, summed over both features, for
        r = 1 and the densities of LOSSES; the densities, to half a STEP, above which a
        feature is dropped, for the importances of BOUNDARY.
    """
    fine = np.arange(0.105, 0.6, STEP)
    problems = [
        np.meshgrid(p, r, indexing="ij"),
        np.meshgrid(list(LOSSES), [1.0], indexing="ij"),
        np.meshgrid(fine, list(BOUNDARY), indexing="ij"),
    ]
    density, extra = (
        np.concatenate([grids[i].ravel() for grids in problems]) for i in (0, 1)
    )
    density = density[:, None, None]
    W = np.broadcast_to(STARTS, (len(density), *STARTS.shape))
    b = np.where(np.abs(W[..., 0]) < 0.2, density / 2, 0)
    importance = phases.importances(extra, 2)[:, None]
    found = expected_loss.minima((W, b), density, importance, max_steps=60)
    rows = phases.best(found.params.W, np.asarray(found.loss))
    cells, ones, lines = np.split(rows, np.cumsum([len(p) * len(r), len(LOSSES)]))
    losses = 2 * found.loss.min(axis=-1)[len(cells) : len(cells) + len(ones)]
    held = np.abs(lines[..., 0]).min(axis=-1).reshape(len(fine), -1) > 0.5
    boundary = [float(fine[column].max() + STEP / 2) for column in held.T]
    return cells.reshape(len(p), len(r), 2, 1), losses.tolist(), boundary


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The exact optimum against an independent one, and the trained grid against it."""
    losses = metrics["loss_at_equal_importance"]
    apart = np.max([abs(losses[str(at)] - expected) for at, expected in LOSSES.items()])
    moved = np.max([abs(metrics["boundary"][str(at)] - b) for at, b in BOUNDARY.items()])
    away = f"the exact optimum, for cells {phases.NEAR:.0%} and more from its boundaries"
    return [
        Check.within("error of the exact losses at r = 1", apart, 0, 1e-5, BY_QUADRATURE),
        Check.within("error of the exact boundary", moved, 0, STEP, BY_QUADRATURE),
        Check.at_least(
            "cells where the average of nine models is in the exact optimum's phase",
            metrics["agreement_of_average"],
            0.95,
            away,
        ),
        Check.at_least(
            "cells where the best of ten models is in that phase",
            metrics["agreement_of_best"],
            0.95,
            away,
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """The exact boundary beside the templates'; how often trained models agree."""
    lines = ["importance  exact boundary  templates"]
    for at, found in metrics["boundary"].items():
        lines.append(
            f"{at:>10}{found:>16.3f}{float(template_boundary(np.array(float(at)))):>11.3f}"
        )
    return [
        *lines,
        f"best of ten in the exact phase: {metrics['agreement_of_best']:.1%} of cells",
        f"average of nine: {metrics['agreement_of_average']:.1%}",
    ]


EXPERIMENT = Experiment(
    name="phase_diagram",
    question="When is a second feature dropped, kept alone, or stored beside the first?",
    source="Elhage et al. 2022, superposition as a phase change (n = 2, m = 1)",
    minutes=0.6,
    settings=Settings(),
    quick=Settings(n_importances=20, n_densities=20),
    run=run,
    figures=(phase_map,),
    expect="Each map has three regions that meet near importance 1: the extra feature is "
    "dropped (white), has the dimension alone (blue), or shares it with the first "
    "(orange). The published figure shows the same regions, with a trained map that is "
    "blurred around the triple point.",
)
