"""When does a child's latent swallow its parent?

Feature absorption (Chanin et al. 2024, arXiv 2409.14507), in the smallest world that has it
(the notebook of arXiv 2505.11756): two orthonormal features of value 1 in 50 dimensions, a
parent with probability 0.25 and a child that fires in a fifth of its samples and never
without it; two ReLU latents with an L1 penalty of 1e-3, started near the truth. One latent
becomes the parent alone, with an encoder that the child silences; the other becomes parent
plus child. Then the penalty of a sample with both is sqrt(2) instead of 2, at no error.

What dictionaries must learn is known: over the angles of both rows and the decoder bias,
the expected loss of the four possible samples, each with its best non-negative codes
(`optimum`, in float64; an affine encoder reaches these codes). Where the child fires alone
in a share r of its samples, the child's row turns by an angle phi towards the parent. To
first order the penalty gains penalty * phi in each sample with both, and the error costs
phi^2 in each with the child alone: phi = penalty (1 - r) / (2 r). So a hierarchy must be
nearly perfect for a small penalty to absorb.

Differences: the source trains for 10^8 samples in batches of 4,096 at a constant 3e-4 with
free rows and a penalty weighted by their length, which rows of length 1 (`ReLU`) leave as it
is; here the rate starts ten times higher and falls to zero. Rows start at length 1.

Run:     python -m experiments absorption
Takes:   about 1 minute on two cores
Expect:  cosines 0.7071 and 0.7071 and a gap of 1.0 in a hierarchy; no absorption without a
         penalty or without a hierarchy, some where values vary; the angle on the exact
         curves where the child also fires alone
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import optimize

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import absorption as figure
from synthetic import SparseFeatures, directions, magnitude, random
from synthetic.directions import unit_rows
from synthetic.family import Family
from toymodels import ensemble
from toymodels.sae import Params, ReLU
from toymodels.sae.many import fit_many
from toymodels.scores import geometry, mixing, structure

PARENT, GIVEN = 0.25, 0.2
PARENTS = np.array([-1, 0])
ATOMS = np.array([[0.0, 0.0], [1, 0], [0, 1], [1, 1]])  # parent and child, off and on


@dataclass(frozen=True)
class Settings:
    """Attributes:
    d_model: of the world.
    n_seeds: dictionaries per case, each in directions of its own.
    noise: deviation of each coordinate of the start about the truth.
    penalty: weight of the L1 term in the cases.
    spread: deviation of the values in the case in which they vary.
    penalties: of the curves.
    alone: shares r of the child's samples without its parent, of the curves.
    steps, batch_size, learning_rate, decay: of Adam, whose rate falls to 0 over the last
        `decay` of the run.
    n_samples: on which the gaps rest.
    """

    d_model: int = 50
    n_seeds: int = 4
    noise: float = 0.1
    penalty: float = 1e-3
    spread: float = 0.15
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    alone: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    steps: int = 10_000
    batch_size: int = 512
    learning_rate: float = 3e-3
    decay: float = 0.6
    n_samples: int = 1 << 15


class Case(NamedTuple):
    """A world and a penalty.

    Attributes:
        name: as figures say it.
        penalty: weight of the L1 term.
        otherwise: P(child | no parent).
        spread: deviation of the values about 1.
    """

    name: str
    penalty: float
    otherwise: float = 0.0
    spread: float = 0.0


def cases(settings: Settings) -> list[Case]:
    """The hierarchy and its controls."""
    return [
        Case("hierarchy", settings.penalty),
        Case("no penalty", 0.0),
        Case("independent child", settings.penalty, GIVEN),
        Case("varying values", settings.penalty, spread=settings.spread),
    ]


def curves(settings: Settings) -> list[Case]:
    """Every penalty with every share of the child's samples without its parent."""
    return [
        Case(f"penalty {penalty:g}, r = {r:g}", penalty, chance_alone(r))
        for penalty, r in product(settings.penalties, settings.alone)
    ]


def chance_alone(r: float) -> float:
    """P(child | no parent) so that a share r of the child's samples has no parent."""
    return r / (1 - r) * PARENT * GIVEN / (1 - PARENT)


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_curve, key_score = jax.random.split(random.key(seed), 3)
    table_cases, curve_cases = cases(settings), curves(settings)
    with job.stage("cases"):
        found = fit_cases(key_fit, "cases", table_cases, settings.n_seeds, settings, job)
    with job.stage("curves"):
        swept = fit_cases(key_curve, "curves", curve_cases, 1, settings, job)
    with job.stage("scores"):
        scores = score(key_score, found, settings)
    with job.stage("exact"):
        grid = (len(settings.penalties), len(settings.alone))
        exact = np.reshape([optimum(case).angle for case in curve_cases], grid)
    rows = np.array([geometry.cosines(*pair) for pair in zip(*rows_of(swept), strict=True)])
    shape = (len(table_cases), settings.n_seeds)
    arrays = {
        **{name: values.reshape(*shape, *values.shape[1:]) for name, values in scores.items()},
        "alone": np.array(settings.alone),
        "penalty": np.array(settings.penalties),
        "angle": np.arctan2(rows[:, 1, 0], rows[:, 1, 1]).reshape(grid),
        "angle_exact": exact,
    }
    metrics: dict[str, Any] = {
        "cases": [case.name for case in table_cases],
        "cosine_of_child": arrays["decoder"][:, :, 1].mean(axis=1).tolist(),
        **{
            name: arrays[name].mean(axis=1).tolist()
            for name in ("gap", "mass", "encoder_ratio", "decoder_ratio")
        },
        "exact_angle_in_a_hierarchy": optimum(table_cases[0]).angle,
    }
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics))


def fit_cases(
    key: Key[Array, ""],
    name: str,
    found: list[Case],
    n_seeds: int,
    settings: Settings,
    job: Job,
) -> tuple[Params, SparseFeatures]:
    """The weights and the world of every case and seed, stacked [case * seed]."""
    key_world, key_start, key_data = (
        jax.random.split(part, n_seeds) for part in jax.random.split(key, 3)
    )
    rows = jax.vmap(lambda key: directions.orthogonal(key, 2, settings.d_model))(key_world)
    starts = jax.vmap(lambda key, rows: near(key, rows, settings.noise))(key_start, rows)
    members = [
        (
            ReLU(2, sparsity=case.penalty, revive=None),
            make_world(case, rows[seed]),
            jax.tree.map(lambda leaf: leaf[seed], starts),  # noqa: B023
        )
        for case in found
        for seed in range(n_seeds)
    ]
    dictionaries, worlds, params = ensemble.stack(members)
    params, _ = fit_many(
        key_data[jnp.arange(len(members)) % n_seeds],
        dictionaries,
        worlds,
        params,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        settings.decay,
        block=8,
        chunk=max(1, settings.steps // 10),
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name),
    )
    return params, worlds


def make_world(case: Case, rows: Float[Array, "2 d_model"]) -> SparseFeatures:
    """Parent and child along orthonormal rows."""
    law = Family(jnp.float32(PARENT), jnp.array([GIVEN]), jnp.array([case.otherwise]))
    return SparseFeatures(rows, law, magnitude.RectifiedNormal(1.0, case.spread))


def near(key: Key[Array, ""], rows: Float[Array, "latent d_model"], noise: float) -> Params:
    """A tied start of unit rows, normal noise away from `rows`."""
    W_dec = unit_rows(rows + noise * jax.random.normal(key, rows.shape))
    return Params(W_dec.T, jnp.zeros(len(rows)), W_dec, jnp.zeros(rows.shape[1]))


def rows_of(found: tuple[Params, SparseFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """Learned and true rows [member, row, d_model]."""
    params, worlds = found
    return np.asarray(params.W_dec), np.asarray(worlds.directions)


def score(
    key: Key[Array, ""], found: tuple[Params, SparseFeatures], settings: Settings
) -> dict[str, np.ndarray]:
    """Gap, mass and mechanism of every member, and what rows and columns are made of."""
    params, worlds = found
    encode = ReLU(2).encode
    scores: dict[str, list] = {name: [] for name in _SCORES}

    @jax.jit
    def sums(watched, params, world, key):
        batch = world.sample(key, settings.n_samples)
        return structure.count(watched, batch, encode(params, batch.x))

    for i in range(len(params.W_dec)):
        own, world = jax.tree.map(lambda leaf: leaf[i], (params, worlds))  # noqa: B023
        decoder = mixing.decoder_mixing(own.W_dec, world.directions)
        encoder = mixing.encoder_mixing(own.W_enc, world.directions)
        pairs = geometry.match(geometry.cosines(own.W_dec, world.directions))
        watched = structure.watch(PARENTS, pairs, decoder)
        counted = sums(watched, own, world, jax.random.clone(key))
        absorbed = structure.absorption(watched, jax.device_get(counted))
        ratios = structure.mechanism(PARENTS, pairs, decoder, encoder)
        # The rows in the order of the features that they match.
        values = (
            absorbed.gap[0],
            absorbed.mass[0],
            ratios.encoder[0],
            ratios.decoder[0],
            decoder[pairs.latent],
            encoder[pairs.latent],
        )
        for name, value in zip(_SCORES, values, strict=True):
            scores[name].append(value)
    return {name: np.array(values) for name, values in scores.items()}


_SCORES = ("gap", "mass", "encoder_ratio", "decoder_ratio", "decoder", "encoder")


class Optimum(NamedTuple):
    """What two latents learn at best.

    Attributes:
        angle: of the child's row from the child towards the parent.
        loss: squared error and penalty.
    """

    angle: float
    loss: float


def probabilities(case: Case) -> Float[np.ndarray, "4"]:
    """Of the four samples `ATOMS`."""
    off, on = 1 - PARENT, PARENT
    child = case.otherwise
    return np.array([off * (1 - child), on * (1 - GIVEN), off * child, on * GIVEN])


def least_cost(
    x: Float[np.ndarray, "sample 2"], rows: Float[np.ndarray, "2 2"], penalty: float
) -> Float[np.ndarray, " sample"]:
    """min over z >= 0 of ||x - z rows||^2 + penalty sum z, by looking at all active sets."""
    best = np.square(x).sum(axis=1)
    for active in ([0], [1], [0, 1]):
        W = rows[active]
        gram = W @ W.T
        if np.linalg.det(gram) < 1e-9:
            continue
        z = np.linalg.solve(gram, (x @ W.T - penalty / 2).T).T
        cost = np.square(x - z @ W).sum(axis=1) + penalty * z.sum(axis=1)
        best = np.where((z >= 0).all(axis=1), np.minimum(best, cost), best)
    return best


def exact_loss(point: np.ndarray, case: Case) -> float:
    """The expected loss with the best codes.

    `point` holds the angle of the parent's row towards the child, that of the child's
    towards the parent, and the decoder bias.
    """
    a, b = point[:2]
    rows = np.array([[np.cos(a), np.sin(a)], [np.sin(b), np.cos(b)]])
    return float(probabilities(case) @ least_cost(ATOMS - point[2:], rows, case.penalty))


def optimum(case: Case) -> Optimum:
    """The least expected loss of two latents, from several starts.

    Nelder-Mead: codes that become zero put kinks into the gradient.
    """
    found = [
        optimize.minimize(
            exact_loss,
            [0.0, angle, 0.0, 0.0],
            (case,),
            "Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-13, "maxiter": 4_000, "maxfev": 4_000},
        )
        for angle in (0.01, 0.3, np.pi / 4)
    ]
    best = min(found, key=lambda result: result.fun)
    return Optimum(float(best.x[1]), float(best.fun))


def first_order(penalty: float, r: float) -> float:
    """The angle of the child's row for a small penalty: penalty (1 - r) / (2 r)."""
    return penalty * (1 - r) / (2 * r)


def make_checks(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Check]:
    """Full absorption where it must be, none in the controls, the exact angles between."""
    paper = "Chanin et al. 2025: cosines 0.7071 and 0.7071, full absorption"
    control = "a control: nothing is gained by absorbing"
    place = {name: i for i, name in enumerate(metrics["cases"])}
    whole = place["hierarchy"]
    child_row = arrays["decoder"][whole, :, 1]
    unit = child_row / np.linalg.norm(child_row, axis=1, keepdims=True)
    parent_row = arrays["decoder"][whole, :, 0]
    checks = [
        Check(
            "hierarchy: distance of the child's cosines from 0.7071",
            float(np.abs(unit - 0.5**0.5).max()),
            0,
            0.01,
            paper,
        ),
        Check(
            "hierarchy: cosine of the parent's latent with the parent, lowest",
            float((parent_row[:, 0] / np.linalg.norm(parent_row, axis=1)).min()),
            0.999,
            None,
            paper,
        ),
        Check("hierarchy: gap, lowest", arrays["gap"][whole].min(), 0.99, 1, paper),
        Check(
            "hierarchy: the child in the parent's encoder, over the parent",
            metrics["encoder_ratio"][whole],
            -1.3,
            -0.9,
            "about as much the other way, so that both together are silent",
        ),
    ]
    checks += [
        Check(f"{name}: gap, highest", arrays["gap"][place[name]].max(), None, 0.01, control)
        for name in ("no penalty", "independent child")
    ]
    off = np.abs(arrays["angle"] - arrays["angle_exact"]).max()
    return [
        *checks,
        Check(
            "curves: largest distance of the angle from the exact one, in degrees",
            float(np.rad2deg(off)),
            0,
            2.0,
            "minimum of the exact loss, in float64",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per case."""
    lines = [
        f"{'':<20}{'parent':>8}{'child':>8}{'gap':>7}{'mass':>7}{'encoder':>9}{'decoder':>9}"
    ]
    for i, name in enumerate(metrics["cases"]):
        parent, child = metrics["cosine_of_child"][i]
        lines.append(
            f"{name:<20}{parent:>8.4f}{child:>8.4f}{metrics['gap'][i]:>7.3f}"
            f"{metrics['mass'][i]:>7.3f}{metrics['encoder_ratio'][i]:>9.3f}"
            f"{metrics['decoder_ratio'][i]:>9.3f}"
        )
    return [
        *lines,
        "parent, child: what the child's row is made of; encoder: the child in the parent's",
        "column over the parent; decoder: the parent in the child's row over the child",
    ]


EXPERIMENT = Experiment(
    name="absorption",
    question="When does a child's latent swallow its parent?",
    source="Chanin et al. 2024 (arXiv 2409.14507) and 2025 (arXiv 2505.11756)",
    minutes=1,
    settings=Settings(),
    quick=Settings(n_seeds=2, alone=(0.003, 0.03, 0.3)),
    run=run,
    figures=(figure,),
    expect="Above, in a hierarchy the child's row holds parent and child alike and the "
    "parent's encoder holds the child negatively; the controls are near the identity. "
    "Below, the angle falls from 45 degrees as the child fires alone more often, later for a "
    "larger penalty; trained dictionaries lie on the exact curves.",
)
