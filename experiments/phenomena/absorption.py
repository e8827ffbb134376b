"""When does a child's latent swallow its parent?

Feature absorption (Chanin et al. 2024, arXiv 2409.14507), in the smallest world that has it
(the notebook of arXiv 2505.11756): two orthonormal features of value 1 in 50 dimensions, a
parent with probability 0.25 and a child that fires in a fifth of its samples and never
without it; two ReLU latents with an L1 penalty of 1e-3, started near the truth. One latent
becomes the parent alone, with an encoder that the child silences; the other becomes parent
plus child. Then the penalty of a sample with both is sqrt(2) instead of 2, at no error.

What dictionaries must learn is known: over the angles of both rows and the decoder bias,
the expected loss of the four kinds of samples, each with its best non-negative codes, is
minimised in float64 (`parent_and_child.two_latents`). Where the child also fires alone, its
row turns by an angle phi towards the parent. For a small penalty that saves penalty * phi
in each sample with both and costs an error of phi^2 in each with the child alone; with the
bias, phi = penalty / 2 * (P(both) / P(child alone) - P(parent alone) / P(neither)), nothing
for independent features. So a hierarchy must be nearly perfect for a small penalty to
absorb.

Controls: no penalty, an independent child, values that vary (which absorb in part) and tied
weights, with which no latent can be silenced.

Differences: the source trains on 10^8 samples in batches of 4,096 at a constant rate of
3e-4, with free rows and a penalty weighted by their length. Rows of length 1 (`ReLU`) have
the same minima. Here the rate starts ten times higher and falls to zero, and a twentieth of
the samples is enough; rows start at length 1.

Run:     python -m experiments absorption
Takes:   about a minute and a half on one of two cores, the other at work
Expect:  cosines 0.7071 and 0.7071 and a gap of 1.0 in a hierarchy; no absorption without a
         penalty, without a hierarchy or with tied weights, some where values vary; the
         angle on the exact curves where the child also fires alone
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import PROBABILITY
from experiments.phenomena import parent_and_child
from experiments.phenomena.parent_and_child import PARENT
from figures.phenomena import absorption as figure
from synthetic import SparseFeatures, directions, random
from toymodels.sae import Params, ReLU, tied
from toymodels.sae.many import fit_members
from toymodels.scores import absorption, geometry, mixing
from toymodels.training import ensemble

GIVEN = 0.2
PARENTS = np.array([-1, 0])
TIED = "tied weights"


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
    n_fine: points of each exact curve.
    """

    d_model: int = 50
    n_seeds: int = 4
    noise: float = 0.1
    penalty: float = 1e-3
    spread: float = 0.15
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    alone: Annotated[tuple[float, ...], PROBABILITY] = (0.003, 0.006, 0.01, 0.03, 0.1, 0.3)
    steps: int = 10_000
    batch_size: int = 512
    learning_rate: float = 3e-3
    decay: float = 0.6
    n_samples: int = 1 << 15
    n_fine: int = 25


class Setup(NamedTuple):
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

    def make(self, rows: Float[Array, "2 d_model"]) -> SparseFeatures:
        """The world along orthonormal rows."""
        return parent_and_child.make_world(rows, GIVEN, self.otherwise, self.spread)

    def angle(self) -> float:
        """Exact, of the child's row from the child towards the parent; values of 1."""
        case = parent_and_child.Case(GIVEN, self.otherwise, self.penalty)
        towards, away = parent_and_child.two_latents(case).rows[1]
        return float(np.arctan2(towards, away))


def cases(settings: Settings) -> list[Setup]:
    """The hierarchy and its controls."""
    return [
        Setup("hierarchy", settings.penalty),
        Setup("no penalty", 0.0),
        Setup("independent child", settings.penalty, GIVEN),
        Setup("varying values", settings.penalty, spread=settings.spread),
    ]


def curves(settings: Settings, alone: Sequence[float] | np.ndarray) -> list[Setup]:
    """Every penalty with every share of the child's samples without its parent."""
    return [
        Setup(f"penalty {penalty:g}, r = {r:g}", penalty, chance_alone(r))
        for penalty, r in product(settings.penalties, alone)
    ]


def chance_alone(r: float) -> float:
    """P(child | no parent) so that a share r of the child's samples has no parent."""
    return r / (1 - r) * PARENT * GIVEN / (1 - PARENT)


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_tied, key_curve, key_score = jax.random.split(random.key(seed), 4)
    table_cases, curve_cases = cases(settings), curves(settings, settings.alone)
    with job.stage("cases"):
        untied = fit_cases(key_fit, "cases", table_cases, settings.n_seeds, settings, job)
        one_matrix = fit_tied(key_tied, table_cases[0], settings, job)
        found = jax.tree.map(lambda *a: jnp.concatenate(a), untied, one_matrix)
    with job.stage("curves"):
        swept = fit_cases(key_curve, "curves", curve_cases, 1, settings, job)
    with job.stage("scores"):
        scores = score(key_score, found, settings)
    with job.stage("exact"):
        grid = (len(settings.penalties), len(settings.alone))
        exact = np.reshape([case.angle() for case in curve_cases], grid)
        fine = np.geomspace(0.001, 0.5, settings.n_fine)
        on_fine = curves(settings, fine)
        curve = np.reshape([case.angle() for case in on_fine], (grid[0], -1))
    rows = np.array([geometry.cosines(*pair) for pair in zip(*rows_of(swept), strict=True)])
    names = [*(case.name for case in table_cases), TIED]
    shape = (len(names), settings.n_seeds)
    arrays = {
        **{
            name: values.reshape(*shape, *values.shape[1:])
            for name, values in scores.items()
        },
        "alone": np.array(settings.alone),
        "penalty": np.array(settings.penalties),
        "angle": np.arctan2(rows[:, 1, 0], rows[:, 1, 1]).reshape(grid),
        "angle_exact": exact,
        "fine": fine,
        "curve": curve,
    }
    metrics: dict[str, Any] = {
        "cases": names,
        "cosine_of_child": arrays["decoder"][:, :, 1].mean(axis=1).tolist(),
        **{
            name: arrays[name].mean(axis=1).tolist()
            for name in ("gap", "mass", "encoder_ratio", "decoder_ratio")
        },
        "exact_angle_in_a_hierarchy": table_cases[0].angle(),
    }
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics))


def fit_cases(
    key: Key[Array, ""],
    name: str,
    found: list[Setup],
    n_seeds: int,
    settings: Settings,
    job: Job,
) -> tuple[Params, SparseFeatures]:
    """The weights and the world of every case and seed, stacked [case * seed]."""
    members = [case for case in found for _ in range(n_seeds)]
    key_data, rows, starts = begin(key, len(members), settings)
    dictionaries, worlds = ensemble.stack(
        [
            (ReLU(2, sparsity=case.penalty, revive=None), case.make(own))
            for case, own in zip(members, rows, strict=True)
        ]
    )
    return train(name, key_data, dictionaries, worlds, starts, settings, job), worlds


def fit_tied(
    key: Key[Array, ""], case: Setup, settings: Settings, job: Job
) -> tuple[Params, SparseFeatures]:
    """The same for dictionaries whose encoder is the decoder's transpose."""
    key_data, rows, starts = begin(key, settings.n_seeds, settings)
    one = tied.Tied(2, sparsity=case.penalty)
    dictionaries, worlds = ensemble.stack([(one, case.make(own)) for own in rows])
    starts = tied.TiedParams(starts.W_dec, starts.b_enc)
    params = train(TIED, key_data, dictionaries, worlds, starts, settings, job)
    return jax.vmap(tied.untied)(params), worlds


def begin(key: Key[Array, ""], n_members: int, settings: Settings):
    """Of every member: the key of its data, its true rows, and where it starts."""
    key_world, key_start, key_data = (
        jax.random.split(part, n_members) for part in jax.random.split(key, 3)
    )
    rows = jax.vmap(lambda key: directions.orthogonal(key, 2, settings.d_model))(key_world)
    starts = jax.vmap(lambda key, rows: parent_and_child.near(key, rows, settings.noise))(
        key_start, rows
    )
    return key_data, rows, starts


def train(name: str, key_data, dictionaries, worlds, starts, settings: Settings, job: Job):
    """The weights of all members, trained in one program."""
    params, _ = fit_members(
        key_data,
        dictionaries,
        worlds,
        starts,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        settings.decay,
        block=8,
        chunk=max(1, settings.steps // 10),
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name.replace(" ", "_")),
    )
    return params


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
        return absorption.count(watched, batch, encode(params, batch.x))

    for i in range(len(params.W_dec)):
        own, world = jax.tree.map(lambda leaf: leaf[i], (params, worlds))  # noqa: B023
        decoder = mixing.decoder_mixing(own.W_dec, world.directions)
        encoder = mixing.encoder_mixing(own.W_enc, world.directions)
        pairs = geometry.match(geometry.cosines(own.W_dec, world.directions))
        watched = absorption.watch(PARENTS, pairs, decoder)
        counted = sums(watched, own, world, jax.random.clone(key))
        absorbed = absorption.absorption(watched, jax.device_get(counted))
        ratios = absorption.mechanism(PARENTS, pairs, decoder, encoder)
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


def make_checks(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Check]:
    """Full absorption where it must be, none in the controls, the exact angles between."""
    paper = "Chanin et al. 2025: cosines 0.7071 and 0.7071, full absorption"
    controls = {
        "no penalty": "nothing is gained by absorbing",
        "independent child": "the child fires alone too often",
        TIED: "no latent can be silenced",
    }
    place = {name: i for i, name in enumerate(metrics["cases"])}
    whole = place["hierarchy"]
    rows = geometry.unit_rows(arrays["decoder"][whole])
    checks = [
        Check.within(
            "hierarchy: distance of the child's cosines from 0.7071",
            float(np.abs(rows[:, 1] - 0.5**0.5).max()),
            0,
            0.01,
            paper,
        ),
        Check.at_least(
            "hierarchy: cosine of the parent's latent with the parent, lowest",
            float(rows[:, 0, 0].min()),
            0.999,
            paper,
        ),
        Check.within("hierarchy: gap, lowest", arrays["gap"][whole].min(), 0.99, 1, paper),
        Check.within(
            "hierarchy: the child in the parent's encoder, over the parent",
            metrics["encoder_ratio"][whole],
            -1.3,
            -0.9,
            "about as much the other way, so that both together are silent",
        ),
    ]
    checks += [
        Check.at_most(f"{name}: gap, highest", arrays["gap"][place[name]].max(), 0.01, why)
        for name, why in controls.items()
    ]
    toy = "Chanin 2024, toy models of absorption"
    checks += [
        Check.within(
            "varying values: the parent in the child's row, over the child",
            metrics["decoder_ratio"][place["varying values"]],
            0.2,
            0.9,
            f"{toy}: in part",
        ),
        Check.within(
            "tied weights: the parent in the child's row, over the child, largest",
            float(np.abs(arrays["decoder_ratio"][place[TIED]]).max()),
            0,
            0.1,
            f"{toy}: none",
        ),
    ]
    off = np.rad2deg(arrays["angle"] - arrays["angle_exact"])
    return [
        *checks,
        Check.within(
            "curves: distance of the angle from the exact one in degrees, root mean square",
            float(np.sqrt(np.square(off).mean())),
            0,
            1.5,
            "exact loss; at r = 0.01 a thousand late samples show the child alone",
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
        "parent, child: in the child's row; decoder: the first over the second;",
        "encoder: the child over the parent in the parent's column",
    ]


EXPERIMENT = Experiment(
    name="absorption",
    question="When does a child's latent swallow its parent?",
    source="Chanin et al. 2024 (arXiv 2409.14507) and 2025 (arXiv 2505.11756)",
    minutes=1.4,
    settings=Settings(),
    quick=Settings(n_seeds=2, alone=(0.003, 0.03, 0.3)),
    run=run,
    figures=(figure,),
    expect="Above, in a hierarchy the child's row holds parent and child alike and the "
    "parent's encoder holds the child negatively; the controls are near the identity. "
    "Below, the angle falls from 45 degrees as the child fires alone more often, later for "
    "a larger penalty; trained dictionaries lie on the exact curves.",
)
