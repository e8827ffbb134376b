"""Do nested dictionaries keep a parent apart from its children?

Twenty orthonormal features: three parents, three children of each that exclude each other,
and eight features alone (Nabeshima 2024, "Matryoshka sparse autoencoders"). A child comes
with its parent, so a dictionary that is paid to use few latents writes parent and child
into one row and lets the parent's latent fall silent there: absorption. A Matryoshka
dictionary whose first latents must also reconstruct alone cannot, for parents are what few
latents do best. ReLU codes with an L1 penalty steered to the true L0, and ten levels whose
weight is swept: without any (weight 0) the dictionary is the plain one.

The measure is the absorption mass: of what the reconstruction has of a parent while a child
is on, the share that other latents supply. (The share of silence says less here: values
vary, and the parent's latent still catches what the joint row leaves over.)

The source samples ten prefixes anew in every step and sorts latents by their mean square;
here the ten are fixed and nothing is sorted. It trains 10,000 to 40,000 steps of 200
samples at 3e-2. Its target L0, 1.2338, is said to be the data's, but its tree has 1.12 (and
so has its other tree); where 1.2338 comes from is not known. Here the target is 1.12.

Run:     python -m experiments matryoshka_tree
Takes:   about 2 minutes on one of two cores, the other at work
Expect:  without levels absorption mass 0.9 and children's rows at cosine 0.7 with their
         parents'; with levels of weight 2 masses below 0.1 and one row for each feature
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.phenomena import matryoshka_tree as cosines_figure
from synthetic import SparseFeatures, random
from synthetic.worlds import phenomena
from toymodels.sae import many
from toymodels.sae.around.controller import Controlled
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.scores import evaluation, geometry
from toymodels.training import ensemble

N = 20
TRUE_L0 = 1.12
SOURCE = "Nabeshima 2024: vanilla absorbs, Matryoshka is one to one"
SHOWN = ("mcc_dec", "absorption_mass", "absorption_gap", "feature_f1", "l0", "dead")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    prefixes: widths of the levels, the last one 20.
    weights: of all levels but the last together, over that of the last; 0 and 2 among
        them.
    l0: to which the penalty is steered.
    n_seeds: dictionaries of each weight.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in the last half.
    n_samples: on which the scores rest.
    """

    prefixes: tuple = (1, 2, 3, 4, 5, 7, 9, 12, 16, 20)
    weights: tuple = (0.0, 0.3, 1.0, 2.0, 4.0)
    l0: float = TRUE_L0
    n_seeds: int = 6
    steps: int = 6_000
    batch_size: int = 256
    learning_rate: float = 1e-2
    n_samples: int = 1 << 14


class Scores(NamedTuple):
    """Attributes:
    values: name to score [weight, seed].
    cosine: [weight, seed, latent, feature], the row of feature j's match first.
    parent_in_child: [weight, seed], mean cosine of a child's row with its parent.
    """

    values: dict[str, np.ndarray]
    cosine: np.ndarray
    parent_in_child: np.ndarray


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_score = jax.random.split(random.key(seed))
    world = phenomena.tree_of_twenty()
    with job.stage("dictionaries"):
        params = fit_all(key_fit, world, settings, job)
    with job.stage("scores"):
        found = score_all(key_score, params, world, settings)
    middle = {name: np.median(v, axis=1).tolist() for name, v in found.values.items()}
    metrics: dict[str, Any] = {
        "weights": list(settings.weights),
        "median": middle,
        "parent_in_child": np.median(found.parent_in_child, axis=1).tolist(),
    }
    arrays = {
        "weight": np.array(settings.weights),
        "cosine": found.cosine,
        "parent_in_child": found.parent_in_child,
        **{f"score/{name}": values for name, values in found.values.items()},
    }
    return Result(metrics, arrays, make_checks(settings, found), table(settings, found))


def dictionaries(settings: Settings) -> Controlled:
    """[weight * seed]; the last level weighs 1."""
    inner = len(settings.prefixes) - 1
    return ensemble.stack(
        [
            Controlled(
                MatryoshkaReLU(N, settings.prefixes, (*inner * [weight / inner], 1.0)),
                target_l0=settings.l0,
            )
            for weight in settings.weights
            for _ in range(settings.n_seeds)
        ]
    )


def fit_all(key: Key, world: SparseFeatures, settings: Settings, job: Job):
    """The weights [weight * seed]; a seed has the same start and draws at every weight."""
    key_init, key_data = (
        jax.random.split(part, settings.n_seeds) for part in jax.random.split(key)
    )
    stacked = dictionaries(settings)
    n_members = len(settings.weights) * settings.n_seeds
    which = jnp.arange(n_members) % settings.n_seeds
    params = jax.vmap(lambda key, d: d.init(key, world.d_model))(key_init[which], stacked)
    return many.fit_members(
        key_data[which],
        stacked,
        world,
        params,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        decay=0.5,
        one_world=True,
        chunk=max(1, settings.steps // 10),
        progress=job.progress("dictionaries", settings.steps),
        checkpoints=job.checkpoints("dictionaries"),
    )[0]


def score_all(key: Key, params, world: SparseFeatures, settings: Settings) -> Scores:
    """On the same samples for all."""
    key_example, key_test = jax.random.split(key)
    example = jax.jit(lambda key: world.sample(key, 4_096))(key_example)
    keys, parents = jax.random.split(key_test, 2), np.asarray(world.parents)
    child = np.flatnonzero(parents >= 0)
    plain = MatryoshkaReLU(N, settings.prefixes)
    encode = jax.jit(partial(_codes, plain))
    rows, cosines = [], []
    for i in range(len(settings.weights) * settings.n_seeds):
        own = jax.tree.map(lambda leaf: leaf[i], params)  # noqa: B023
        found = evaluation.evaluate(
            partial(encode, own),
            own.W_dec,
            world,
            keys,
            settings.n_samples // len(keys),
            example,
        )
        rows.append(evaluation.values(found))
        cosines.append(geometry.in_matched_order(found.cosine))
    shape = (len(settings.weights), settings.n_seeds)
    cosine = np.array(cosines).reshape(*shape, N, N)
    return Scores(
        {name: np.array([row[name] for row in rows]).reshape(shape) for name in SHOWN},
        cosine,
        cosine[:, :, child, parents[child]].mean(axis=-1),
    )


def _codes(dictionary: MatryoshkaReLU, params: Any, batch):
    z = dictionary.encode(params, batch.x)
    return z, dictionary.decode(params, z)


def make_checks(settings: Settings, found: Scores) -> list[Check]:
    """Absorption without levels, none with them; medians over seeds."""
    plain, nested = settings.weights.index(0.0), settings.weights.index(2.0)

    def median(values, place):
        return float(np.median(values[place]))

    mass, mcc = found.values["absorption_mass"], found.values["mcc_dec"]
    share = found.parent_in_child
    joint = "two orthonormal features in one unit row: 0.7071"
    return [
        Check.within("plain: absorption mass", median(mass, plain), 0.7, 1.0, SOURCE),
        Check.within(
            "plain: child's row with parent", median(share, plain), 0.6, 0.75, joint
        ),
        Check.within("levels: absorption mass", median(mass, nested), 0.0, 0.15, SOURCE),
        Check.within(
            "levels: child's row with parent", median(share, nested), -0.1, 0.1, SOURCE
        ),
        Check.within("levels: mcc_dec", median(mcc, nested), 0.95, 1.0 + 1e-6, SOURCE),
        Check.at_least(
            "mcc_dec that levels gain",
            median(mcc, nested) - median(mcc, plain),
            0.04,
            SOURCE,
        ),
    ]


def table(settings: Settings, found: Scores) -> list[str]:
    """Medians over seeds, one line per weight."""
    lines = [
        f"{'levels weigh':>12}{'child . parent':>16}" + "".join(f"{s:>17}" for s in SHOWN)
    ]
    for i, weight in enumerate(settings.weights):
        shown = "".join(f"{np.median(found.values[s][i]):>17.3f}" for s in SHOWN)
        share = np.median(found.parent_in_child[i])
        lines.append(f"{weight:>12g}{share:>16.3f}{shown}")
    return lines


EXPERIMENT = Experiment(
    name="matryoshka_tree",
    question="Do nested dictionaries keep a parent apart from its children?",
    source="Nabeshima 2024, Matryoshka sparse autoencoders",
    minutes=2,
    settings=Settings(),
    quick=Settings(weights=(0.0, 2.0), n_seeds=3),
    run=run,
    figures=(cosines_figure,),
    expect="Left: the children's rows of the plain dictionary hold their parents at cosine "
    "0.7; with levels there is the diagonal alone, but for some hedging of parents. Right: "
    "absorption falls as the levels weigh more. The published pictures show both ends.",
)
