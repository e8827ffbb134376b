"""Can a Matryoshka dictionary balance hedging and absorption?

Chanin et al. 2025 (arXiv 2505.11756, "balancing" notebook): a parent with probability 0.25
and three children that fire with it, each on its own, all of value 1 and orthonormal in 50
dimensions. A ReLU dictionary of four latents under a penalty of 0.03, started at the
truth, whose first latent must also reconstruct alone: the loss is beta times the error of
the first latent plus the error of all four. Without the inner error (beta = 0) the parent
is absorbed: its encoder holds the children negatively and their rows hold the parent. With
the inner error alone (detached: the outer one reaches the children only) it hedges: encoder
and decoder hold the children positively. Between them lies a beta at which encoder and
decoder of the parent nearly ignore its children, if these are equally frequent. If not,
each would need a beta of its own.

Beta is swept continuously, and the balance point is where the children in the parent's
encoder change sign.

Differences: the source counts the penalty of the first latent once more with the inner
error, beta times; `MatryoshkaReLU` counts it once. It trains on 10^8 samples in batches of
4,096 at a constant 3e-4; here the rate starts higher and falls to zero.

Run:     python -m experiments matryoshka_balance
Takes:   about a minute and a half on one of two cores, the other at work
Expect:  the children in the parent's encoder from -0.35 at beta = 0 through 0 near 0.22 to
         0.1 at 1 and 0.15 detached; with unequal children no single beta for all
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.phenomena import matryoshka_balance as figure
from synthetic import SparseFeatures, directions, magnitude, random
from synthetic.firing.family import Family
from toymodels.sae import Params
from toymodels.sae.many import fit_members
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.scores import geometry
from toymodels.training import ensemble

PARENT = 0.25
CHILDREN = {"equal": (0.15, 0.15, 0.15), "unequal": (0.02, 0.15, 0.5)}
DETACHED = "detached"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    d_model: of the world.
    betas: weights of the inner error; the published 0, 0.17, 0.25 and 1 among them.
    penalty: weight of the L1 term.
    n_seeds: dictionaries of each, in directions and on samples of their own.
    steps, batch_size, learning_rate, decay: of Adam, whose rate falls to 0 over the last
        `decay` of the run.
    """

    d_model: int = 50
    betas: tuple[float, ...] = (0.0, 0.05, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7, 1.0)
    penalty: float = 0.03
    n_seeds: int = 2
    steps: int = 10_000
    batch_size: int = 512
    learning_rate: float = 3e-3
    decay: float = 0.7


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_swept, key_detached = jax.random.split(random.key(seed))
    with job.stage("sweep"):
        swept = fit_betas(key_swept, settings.betas, "none", settings, job)
    with job.stage(DETACHED):
        apart = fit_betas(key_detached, (1.0,), "all", settings, job)
    arrays: dict[str, np.ndarray] = {"beta": np.array(settings.betas)}
    metrics: dict[str, Any] = {"given": {name: list(p) for name, p in CHILDREN.items()}}
    for i, name in enumerate(CHILDREN):
        arrays |= {f"{name}/{part}": values[i] for part, values in swept.items()}
        arrays |= {f"{name}/{DETACHED}/{part}": v[i, 0] for part, v in apart.items()}
        encoder = swept["encoder"][i, :, :, 0, 1:].mean(axis=1)
        metrics[name] = {
            "balance": crossing(arrays["beta"], encoder.mean(axis=1)),
            "balance_of_child": [crossing(arrays["beta"], row) for row in encoder.T],
            **{
                f"children_in_{part}": values[i, :, :, 0, 1:].mean(axis=1).tolist()
                for part, values in swept.items()
            },
        }
    checks = make_checks(arrays, metrics)
    return Result(metrics, arrays, checks, table(settings, arrays, metrics))


def fit_betas(
    key: Key[Array, ""],
    betas: tuple[float, ...],
    detach: str,
    settings: Settings,
    job: Job,
) -> dict[str, Float[np.ndarray, "children beta seed latent feature"]]:
    """Cosines of all decoder rows and encoder columns with all features."""
    members = [
        (given, beta)
        for given in CHILDREN.values()
        for beta in betas
        for _ in range(settings.n_seeds)
    ]
    key_world, key_data = (
        jax.random.split(part, len(members)) for part in jax.random.split(key)
    )
    rows = jax.vmap(lambda key: directions.orthogonal(key, 4, settings.d_model))(key_world)
    dictionaries, worlds, params = ensemble.stack(
        [
            (
                MatryoshkaReLU(4, (1, 4), (beta, 1.0), settings.penalty, detach),
                make_world(given, own),
                Params(own.T, jnp.zeros(4), own, jnp.zeros(settings.d_model)),
            )
            for (given, beta), own in zip(members, rows, strict=True)
        ]
    )
    name = DETACHED if detach == "all" else "sweep"
    params, _ = fit_members(
        key_data,
        dictionaries,
        worlds,
        params,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        settings.decay,
        block=4,
        chunk=max(1, settings.steps // 10),
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name),
    )
    shape = (len(CHILDREN), len(betas), settings.n_seeds, 4, 4)
    read = np.swapaxes(params.W_enc, 1, 2)
    return {
        part: np.reshape(
            [geometry.cosines(*pair) for pair in zip(learned, rows, strict=True)], shape
        )
        for part, learned in (("decoder", params.W_dec), ("encoder", read))
    }


def make_world(given: tuple[float, ...], rows: Float[Array, "4 d_model"]) -> SparseFeatures:
    """A parent and children that need it, of value 1, along orthonormal rows."""
    law = Family(jnp.float32(PARENT), jnp.array(given), jnp.zeros(len(given)))
    return SparseFeatures(rows, law, magnitude.Constant(1.0))


def crossing(x: np.ndarray, y: np.ndarray) -> float | None:
    """Where y first turns positive, between two neighbours; None where it never does."""
    above = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if not len(above):
        return None
    i = int(above[0])
    return float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))


EXPECTED = (  # children, beta, of whom, in what, the re-run's value
    ("equal", 0.0, "parent", "encoder", (-0.35,) * 3),
    ("equal", 0.0, "parent", "decoder", (0.0,) * 3),
    ("equal", 0.0, "children", "decoder", (0.45,) * 3),
    ("equal", 0.25, "parent", "encoder", (0.01,) * 3),
    ("equal", 0.25, "parent", "decoder", (0.045,) * 3),
    ("equal", 0.25, "children", "decoder", (0.005,) * 3),
    ("equal", 1.0, "parent", "encoder", (0.10,) * 3),
    ("equal", 1.0, "parent", "decoder", (0.10,) * 3),
    ("equal", 1.0, "children", "decoder", (-0.07,) * 3),
    ("equal", DETACHED, "parent", "encoder", (0.17,) * 3),
    ("equal", DETACHED, "parent", "decoder", (0.17,) * 3),
    ("equal", DETACHED, "children", "decoder", (-0.09,) * 3),
    ("unequal", 0.17, "parent", "encoder", (-0.032, 0.003, 0.107)),
    ("unequal", 0.17, "parent", "decoder", (0.006, 0.042, 0.166)),
)
WITHIN = 0.03


def measured(
    arrays: dict[str, np.ndarray], children: str, beta: float | str, whose: str, part: str
) -> Float[np.ndarray, "3"]:
    """The children in the parent's row or the parent in the children's, over seeds."""
    if beta == DETACHED:
        found = arrays[f"{children}/{DETACHED}/{part}"].mean(axis=0)
    else:
        place = int(np.abs(arrays["beta"] - beta).argmin())
        found = arrays[f"{children}/{part}"][place].mean(axis=0)
    return found[0, 1:] if whose == "parent" else found[1:, 0]


def make_checks(arrays: dict[str, np.ndarray], metrics: dict[str, Any]) -> list[Check]:
    """The published tables, and that only equal children have one balance point."""
    paper = "Chanin et al. 2025, re-run"
    checks = []
    for children, beta, whose, part, expected in EXPECTED:
        if beta != DETACHED and beta not in arrays["beta"]:
            continue
        found = measured(arrays, children, beta, whose, part)
        at = beta if isinstance(beta, str) else f"beta {beta:g}"
        checks.append(
            Check.within(
                f"{children} children, {at}, {whose}'s {part}: distance from the re-run",
                float(np.abs(found - expected).max()),
                0,
                WITHIN,
                f"{paper}: " + ", ".join(f"{v:g}" for v in sorted(set(expected))),
            )
        )
    points = [value or np.nan for value in metrics["unequal"]["balance_of_child"]]
    return [
        *checks,
        Check.within(
            "equal children: beta at which the parent's encoder ignores them",
            metrics["equal"]["balance"] or np.nan,
            0.17,
            0.27,
            f"{paper}: 0.01 at beta 0.25",
        ),
        Check.at_least(
            "unequal children: beta of the rarest over that of the most frequent",
            points[0] / points[-1],
            2,
            f"{paper}: no single beta balances all three",
        ),
    ]


def table(
    settings: Settings, arrays: dict[str, np.ndarray], metrics: dict[str, Any]
) -> list[str]:
    """One line per beta and set of children."""
    lines = []
    for children in CHILDREN:
        point = metrics[children]["balance"]
        said = "none" if point is None else f"{point:.3f}"
        lines += [
            f"{children} children {CHILDREN[children]}: balance of the mean at beta {said}",
            f"{'beta':>9}{'children in parent encoder':>30}{'in parent decoder':>26}"
            f"{'parent in child rows':>26}",
        ]
        for beta in (*settings.betas, DETACHED):
            parts = [
                measured(arrays, children, beta, *what)
                for what in (
                    ("parent", "encoder"),
                    ("parent", "decoder"),
                    ("children", "decoder"),
                )
            ]
            numbers = ["".join(f"{v:>8.3f}" for v in part) for part in parts]
            name = beta if isinstance(beta, str) else f"{beta:g}"
            lines.append(f"{name:>9}{numbers[0]:>30}{numbers[1]:>26}{numbers[2]:>26}")
    return lines


EXPERIMENT = Experiment(
    name="matryoshka_balance",
    question="Can a Matryoshka dictionary balance hedging and absorption?",
    source="Chanin et al. 2025 (arXiv 2505.11756), balancing hedging and absorption",
    minutes=1.5,
    settings=Settings(),
    quick=Settings(betas=(0.0, 0.17, 0.25, 1.0), n_seeds=1, steps=6_000),
    run=run,
    figures=(figure,),
    expect="Above, the parent's encoder goes from blue (absorption) over white to red "
    "(hedging) as the inner error gains weight. Below left, encoder and decoder of equal "
    "children nearly meet zero at one beta; right, every unequal child crosses zero at "
    "another one.",
)
