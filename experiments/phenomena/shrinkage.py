"""How much does an L1 penalty shrink the codes?

One feature of value a, present in a share p of the samples, one ReLU latent with a unit
decoder row and the loss ||x - x_hat||^2 + penalty * z. Without biases the best code is
z = a - penalty / 2, or 0. The decoder bias makes it worse: an offset b = penalty p /
(2 (1 - p)) lowers the penalty of every sample with the feature, and costs little in the
others, so that z = a - penalty / (2 (1 - p)). A grid of values and penalties is trained in
one program and held to both.

Then 64 features in 32 dimensions, two of them present, values about 1: the slope of each
feature's latent on its true value (`amplitude_slope`) and the norm ratio ||x_hat|| / ||x||
(`shrinkage`) over penalties. A feature on its own would have the slope of a - penalty / 2
on a, absent features included, in closed form; crowding takes a little more. TopK, which
has no penalty, is the control: it does not shrink. (Wright & Sharkey 2024 and Rajamanoharan
et al. 2024, arXiv 2404.16014, describe the effect.)

Run:     python -m experiments shrinkage
Takes:   about 1 minute on two cores
Expect:  the codes of one feature exact to 1e-6 without biases, and with them as far as the
         samples tell p; slopes and norm ratios that fall with the penalty, though features
         are still found; a slope of about 1 for TopK
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.phenomena import shrinkage as figure
from synthetic import SparseFeatures, directions, firing, magnitude, random
from toymodels.sae import Params, ReLU, TopK
from toymodels.sae.many import fit_members
from toymodels.scores import correlation, geometry, reconstruction, streaming
from toymodels.training import ensemble

FINE = np.linspace(0, 1.5, 151)


@dataclass(frozen=True)
class Settings:
    """Attributes:
    values, lone_penalties: of the one feature; every pair is trained.
    density: p, how often the one feature is present.
    lone_steps, lone_batch, lone_rate: of Adam for the one feature.
    n_features, d_model: of the crowded world.
    n_present: features in each of its samples, and TopK's k.
    penalties: of its ReLU dictionaries.
    spread: deviation of its values about 1.
    n_seeds: dictionaries of each.
    steps, batch_size, learning_rate: of Adam there, its rate falling to 0 at last.
    n_samples: on which the scores rest.
    """

    values: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    lone_penalties: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)
    density: float = 0.3
    lone_steps: int = 4_000
    lone_batch: int = 2_048
    lone_rate: float = 1e-2
    n_features: int = 64
    d_model: int = 32
    n_present: int = 2
    penalties: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    spread: float = 0.15
    n_seeds: int = 2
    steps: int = 4_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 15


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_lone, key_world, key_fit, key_score = jax.random.split(random.key(seed), 4)
    with job.stage("one feature"):
        code = fit_lone(key_lone, settings, job)
    world = make_world(key_world, settings)
    with job.stage("crowded"):
        relu, topk = fit_crowded(key_fit, world, settings, job)
    with job.stage("scores"):
        crowded = score(key_score, relu, world, settings)
        control = score(key_score, topk, world, settings)
    grid = (len(settings.penalties), settings.n_seeds)
    arrays = {
        "value": np.array(settings.values),
        "lone_penalty": np.array(settings.lone_penalties),
        "code": code,
        "code_exact": lone_codes(settings, settings.values),
        "fine_value": FINE,
        "fine_code": lone_codes(settings, FINE),
        "penalty": np.array(settings.penalties),
        "alone": lone_slope(settings),
        **{name: values.reshape(grid) for name, values in crowded.items()},
        **{f"topk/{name}": values for name, values in control.items()},
    }
    metrics: dict[str, Any] = {
        "largest_error": np.abs(code - arrays["code_exact"]).max(axis=(1, 2)).tolist(),
        "topk": {name: float(values.mean()) for name, values in control.items()},
        **{name: arrays[name].mean(axis=1).tolist() for name in crowded},
    }
    return Result(metrics, arrays, make_checks(metrics, arrays), table(metrics, arrays))


def fit_lone(
    key: Key[Array, ""], settings: Settings, job: Job
) -> Float[np.ndarray, "bias value penalty"]:
    """z where the feature is present, without biases and with them."""
    row = jnp.eye(1, 4)
    rate = firing.Independent(jnp.array([settings.density]))
    start = Params(row.T, jnp.zeros(1), row, jnp.zeros(4))
    members = [
        (
            ReLU(1, sparsity=penalty, revive=None),
            SparseFeatures(row, rate, magnitude.Constant(value)),
            start,
            has_bias,
        )
        for has_bias, value, penalty in product(
            (False, True), settings.values, settings.lone_penalties
        )
    ]
    dictionaries, worlds, params, has_bias = ensemble.stack(members)
    params, _ = fit_members(
        jax.random.split(key, len(members)),
        dictionaries,
        worlds,
        params,
        settings.lone_steps,
        settings.lone_batch,
        settings.lone_rate,
        decay=0.8,
        learns={"b_enc": has_bias, "b_dec": has_bias},
        block=16,
        chunk=max(1, settings.lone_steps // 4),
        progress=job.progress("one feature", settings.lone_steps),
        checkpoints=job.checkpoints("one_feature"),
    )

    def present(dictionary, world, params):
        return dictionary.encode(params, world.magnitude.value * world.directions)

    z = jax.jit(jax.vmap(present))(dictionaries, worlds, params)
    return np.reshape(z, (2, len(settings.values), len(settings.lone_penalties)))


def lone_codes(
    settings: Settings, values: Sequence[float] | np.ndarray
) -> Float[np.ndarray, "bias value penalty"]:
    """max(a - penalty / 2, 0) without biases, penalty / (1 - p) for the penalty with."""
    value = np.array(values)[:, None]
    half = np.array(settings.lone_penalties) / 2
    both = [value - half, value - half / (1 - settings.density)]
    return np.maximum(np.stack(both), 0)


def lone_slope(settings: Settings) -> Float[np.ndarray, " penalty"]:
    """The slope of a - t on a, t = penalty / 2, over samples with the feature and without.

    a is N(1, s^2) with probability p, else 0 and so is the code:
    1 - t (1 - p) / (1 + s^2 - p), while t stays well below 1.
    """
    half, p = np.array(settings.penalties) / 2, settings.n_present / settings.n_features
    return 1 - half * (1 - p) / (1 + settings.spread**2 - p)


def make_world(key: Key[Array, ""], settings: Settings) -> SparseFeatures:
    """Random features, more than dimensions; values about 1."""
    rows = directions.random(key, settings.n_features, settings.d_model)
    law = firing.ExactlyK(settings.n_features, settings.n_present)
    return SparseFeatures(rows, law, magnitude.RectifiedNormal(1.0, settings.spread))


def fit_crowded(
    key: Key[Array, ""], world: SparseFeatures, settings: Settings, job: Job
) -> list[tuple[Any, Params]]:
    """(dictionaries, weights) of the ReLU dictionaries [penalty * seed] and of TopK."""
    n = settings.n_features
    kinds = {
        "relu": [
            ReLU(n, sparsity=penalty)
            for penalty in settings.penalties
            for _ in range(settings.n_seeds)
        ],
        "topk": [TopK(n, k=settings.n_present) for _ in range(settings.n_seeds)],
    }
    key_init, key_data = (
        jax.random.split(part, settings.n_seeds) for part in jax.random.split(key)
    )
    found = []
    for name, members in kinds.items():
        dictionaries = ensemble.stack(members)
        seeds = jnp.arange(len(members)) % settings.n_seeds
        starts = jax.vmap(lambda key: members[0].init(key, settings.d_model))(  # noqa: B023
            jax.random.clone(key_init)
        )
        params, _ = fit_members(
            key_data[seeds],
            dictionaries,
            world,
            jax.tree.map(lambda leaf: leaf[seeds], starts),  # noqa: B023
            settings.steps,
            settings.batch_size,
            settings.learning_rate,
            one_world=True,
            chunk=max(1, settings.steps // 10),
            progress=job.progress(name, settings.steps),
            checkpoints=job.checkpoints(name),
        )
        found.append((dictionaries, params))
    return found


def score(
    key: Key[Array, ""],
    members: tuple[Any, Params],
    world: SparseFeatures,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Slope, norm ratio and recovery of every member, on the same samples.

    The slope is the median over features: one that was missed says nothing of shrinkage.
    """

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    found = streaming.member_statistics(
        codes, members, world, jax.random.clone(key), settings.n_samples
    )
    scores: dict[str, list] = {"slope": [], "norm_ratio": [], "mcc_dec": []}
    for statistics, W_dec in zip(found, members[1].W_dec, strict=True):
        pairs = geometry.match(geometry.cosines(W_dec, world.directions))
        slope = correlation.amplitude(statistics, W_dec, pairs).slope
        scores["slope"].append(np.median(slope))
        scores["norm_ratio"].append(reconstruction.shrinkage(statistics))
        scores["mcc_dec"].append(pairs.value.mean())
    return {name: np.array(values) for name, values in scores.items()}


def make_checks(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Check]:
    """The closed forms, the trend, and the control without a penalty."""
    without, with_bias = metrics["largest_error"]
    slope, norm = np.array(metrics["slope"]), np.array(metrics["norm_ratio"])
    isolated = "closed form for a lone feature; crowding takes a little more"
    middle = np.abs(arrays["penalty"] - 0.4).argmin()
    return [
        Check.within(
            "one feature, no biases: largest error of z", without, 0, 1e-3, "a - penalty/2"
        ),
        Check.within(
            "one feature, with biases: largest error of z",
            with_bias,
            0,
            3e-3,
            "a - penalty / (2 (1 - p)); samples decide how often the feature is present",
        ),
        Check.at_most(
            "crowded: largest step of the slope as the penalty grows",
            float(np.diff(slope).max()),
            0.0,
            "a larger penalty shrinks more",
        ),
        Check.within(
            "crowded: slope at the penalty nearest to 0.4, above that of a lone feature",
            float(slope[middle] - arrays["alone"][middle]),
            -0.1,
            0.1,
            isolated,
        ),
        Check.at_most(
            "crowded: norm ratio at the highest penalty", norm[-1], 0.9, "shrunk"
        ),
        Check.within(
            "TopK, no penalty: slope",
            metrics["topk"]["slope"],
            0.93,
            1.07,
            "nothing shrinks the codes",
        ),
    ]


def table(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    """The crowded world, penalty by penalty."""
    lines = [
        "one feature: largest error of z {:.2g} without biases, {:.2g} with".format(
            *metrics["largest_error"]
        ),
        f"{'penalty':>8}{'slope':>9}{'alone':>9}{'norm ratio':>12}{'mcc_dec':>9}",
    ]
    for i, penalty in enumerate(arrays["penalty"]):
        lines.append(
            f"{penalty:>8.3g}{metrics['slope'][i]:>9.3f}{arrays['alone'][i]:>9.3f}"
            f"{metrics['norm_ratio'][i]:>12.3f}{metrics['mcc_dec'][i]:>9.3f}"
        )
    control = metrics["topk"]
    return [
        *lines,
        f"{'TopK':>8}{control['slope']:>9.3f}{1:>9.3f}{control['norm_ratio']:>12.3f}"
        f"{control['mcc_dec']:>9.3f}",
        "alone: the slope of a feature that nothing else disturbs",
    ]


EXPERIMENT = Experiment(
    name="shrinkage",
    question="How much does an L1 penalty shrink the codes?",
    source="closed form; Wright & Sharkey 2024, Rajamanoharan et al. 2024",
    minutes=1,
    settings=Settings(),
    quick=Settings(lone_steps=3_000, penalties=(0.1, 0.4, 1.0), n_seeds=1),
    run=run,
    figures=(figure,),
    expect="Left: the trained codes lie on the straight lines of the closed form, parallel "
    "to the diagonal and below it. Right: slope and norm ratio fall with the penalty, near "
    "the closed form of a lone feature; TopK stays at 1.",
)
