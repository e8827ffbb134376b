"""On which losses does training rest, when features are stored as a polygon?

Six features in two dimensions, one of them present at a time with a uniform value (Chen et
al. 2023, arXiv 2310.06301). The expected loss is a closed form, and regular k-gons, the
other features dropped, are its critical points. A dropped feature is silent (negative bias)
or answered with the mean 1/12 of its value, which lowers the loss by 1/144: "k-gon+". So
the levels are known to the last digit, 4/36, 15/144, 14/144, 0.0687, 0.0618, 0.0482, and
trained models must come to rest on them.

Models start from small random weights and are trained on 256 fresh samples a step, by SGD
(rate 0.3 on the mean over outputs) and by Adam (0.003); the paper publishes neither in the
figure that is repeated here. Their exact loss is drawn against the steps. Weighed less than
0.6582, the sixth feature is not worth its vertex: then the pentagon is the lower one.

Run:     python -m experiments kgon_energy_levels
Takes:   about 20 seconds on two cores
Expect:  critical points to five digits, and curves that fall from level to level and end on
         one: most at the pentagon with the sixth feature answered, 0.0618
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.later_toy_models import kgon_energy_levels
from synthetic import SparseFeatures, random
from synthetic.firing import sets
from toymodels import superposition
from toymodels.superposition.exact.one_hot_loss import kgon, minimum, one_hot_loss

N_FEATURES = 6
LEVELS = {"4-gon": (4, 0), "4-gon+": (4, 1), "4-gon++": (4, 2)} | {
    "5-gon": (5, 0),
    "5-gon+": (5, 1),
    "6-gon": (6, 0),
}
KGONS = ((4, 6), (5, 6), (6, 6), (7, 7), (8, 8))  # k vertices, c features
ON_LEVEL = 0.0015


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_seeds: models per optimizer.
    steps, batch_size: of training.
    sgd_rate, adam_rate: learning rates; the loss is the mean over outputs.
    init_scale: standard deviation of the initial weights.
    n_rows: points of each curve.
    """

    n_seeds: int = 24
    steps: int = 10_000
    batch_size: int = 256
    sgd_rate: float = 0.3
    adam_rate: float = 3e-3
    init_scale: float = 0.3
    n_rows: int = 200


def run(settings: Settings, seed: int, job: Job) -> Result:
    with job.stage("critical points"):
        found = {(k, c): kgon(k, c) for k, c in KGONS}
        levels = {name: kgon(k, N_FEATURES, n).loss for name, (k, n) in LEVELS.items()}
        switch = importance_switch()
    optimizers = {
        "SGD": optax.sgd(settings.sgd_rate),
        "Adam": optax.adam(settings.adam_rate),
    }
    arrays, ends = {}, {}
    keys = jax.random.split(random.key(seed), len(optimizers))
    for key, (name, optimizer) in zip(keys, optimizers.items(), strict=True):
        with job.stage(name):
            step, loss = train(settings, optimizer, key, name, job)
        arrays |= {f"step/{name}": step, f"loss/{name}": loss}
        ends[name] = [nearest(value, levels) for value in loss[-1]]
    metrics = {
        "levels": levels,
        "kgons": {f"{k} of {c}": list(found[k, c][1:]) for k, c in found},
        "importance_switch": switch,
        "ends": {
            name: {level: end.count(level) for level in (*LEVELS, "none")}
            for name, end in ends.items()
        },
        "rests_on_a_level": {
            name: share_of_rest_on_levels(arrays[f"loss/{name}"], levels) for name in ends
        },
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def train(settings: Settings, optimizer, key: Key[Array, ""], name: str, job: Job):
    """The steps and the exact losses [row, seed] of models from random weights."""
    world = SparseFeatures.of_features(
        sets.AnticorrelatedSets.per_set(jnp.ones(1), N_FEATURES)
    )

    def problem(scale):
        return superposition.Bottleneck(N_FEATURES, 2, init_scale=scale), world

    _, history = superposition.train(
        key,
        problem,
        jnp.array([settings.init_scale]),
        n_seeds=settings.n_seeds,
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=optimizer,
        measure=lambda state: {"exact": one_hot_loss(state.params.W, state.params.b)},
        n_rows=settings.n_rows,
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name),
    )
    return history.step, history.metrics["exact"][:, 0]


def nearest(loss: float, levels: dict[str, float]) -> str:
    """The level within 0.0015 of a loss, or "none"."""
    name = min(levels, key=lambda level: abs(levels[level] - loss))
    return name if abs(levels[name] - loss) < ON_LEVEL else "none"


def share_of_rest_on_levels(loss: np.ndarray, levels: dict[str, float]) -> float:
    """Of the moments when a loss changes by less than 1 % in a twentieth of the run, how
    many lie within 0.0015 of a level.
    """
    ahead = max(1, len(loss) // 20)
    rests = np.abs(loss[ahead:] / loss[:-ahead] - 1) < 0.01
    near = np.abs(loss[:-ahead, :, None] - np.array(list(levels.values()))).min(axis=-1)
    return float((near[rests] < ON_LEVEL).mean()) if rests.any() else 0.0


def importance_switch() -> float:
    """The importance of one feature below which the 5-gon+ is lower than the 6-gon.

    The 6-gon adapts to the importance; the 5-gon's loss is linear in it, as the dropped
    feature disturbs nothing.
    """
    weight = np.linspace(0.6, 0.72, 13)
    importance = np.ones((len(weight), N_FEATURES))
    importance[:, -1] = weight
    six = minimum(kgon(6, 6).params, importance).loss
    dropped = (1 / 3 - 1 / (4 * N_FEATURES)) / N_FEATURES
    gap = kgon(5, 6, 1).loss - (1 - weight) * dropped - np.asarray(six)
    return float(np.interp(0, gap, weight))


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """Where training rests. The levels themselves are held by the tests."""
    levels = "the exact levels"
    checks = []
    for name, ends in metrics["ends"].items():
        share = 1 - ends["none"] / sum(ends.values())
        rest = metrics["rests_on_a_level"][name]
        checks += [
            Check.at_least(f"{name}: models that end on a level", share, 0.9, levels),
            Check.at_least(f"{name}: moments of rest on a level", rest, 0.9, levels),
        ]
    return checks


def table(metrics: dict[str, Any]) -> list[str]:
    """The levels, and how many models of each optimizer end on them."""
    names = list(metrics["ends"])
    lines = ["level         loss" + "".join(f"{name:>7}" for name in names)]
    for level in (*LEVELS, "none"):
        loss = metrics["levels"].get(level, np.nan)
        counts = "".join(f"{metrics['ends'][name][level]:>7}" for name in names)
        lines.append(f"{level:<9}{loss:>9.6f}{counts}")
    return [*lines, f"5-gon+ and 6-gon equal at I = {metrics['importance_switch']:.4f}"]


EXPERIMENT = Experiment(
    name="kgon_energy_levels",
    question="On which losses does training rest, when features are stored as a polygon?",
    source="Chen et al. 2023, dynamical and Bayesian phase transitions, arXiv 2310.06301",
    minutes=0.4,
    settings=Settings(),
    quick=Settings(n_seeds=12, steps=5_000),
    run=run,
    figures=(kgon_energy_levels,),
    expect="The loss of every model falls in steps and comes to rest on the dashed levels, "
    "most of them on that of the pentagon whose dropped feature is answered (5-gon+). The "
    "published figure shows the same plateaus at the 4-gon, 5-gon and 6-gon.",
)
