"""Does a neuron hold two features by unequal weights, with a second one mending it?

"Toy Models of Superposition" (Elhage et al. 2022, section "Computation in superposition")
finds in networks that compute |x| the asymmetric superposition motif: a neuron takes
feature i with a large and feature j with a small in-weight (2 and -1/2) and gives them out
the other way round (1/2 and 2). So j leaks little into i's answer, but i much into j's; a
second neuron that i drives holds j's answer down by a large negative out-weight, and the
output ReLU hides the rest.

The paper gives neither sizes nor a rate. Here: ten features of importance 0.8^i at density
0.35 and ten neurons, and as a control twenty features at density 0.5, where superposition
should not pay. (Both sizes are those of ARENA's course material.) The conditions are ratios
within a neuron and products through it, which do not change when a neuron trades in- for
out-weights.

Run:     python -m experiments asymmetric_motif
Takes:   about 1 minute on two cores
Expect:  the motif in some of the ten-neuron networks and in none of the control's best
"""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import asymmetric_motif
from synthetic import SparseFeatures, firing, magnitude, random
from toymodels import superposition

PAPER = "Elhage et al. 2022, computation in superposition"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, density: of the data.
    n_features_control, density_control: of the control's data.
    importance: feature i's error weighs importance^i.
    n_hidden: neurons of both.
    n_seeds: networks of each.
    init_scale: standard deviation of the initial weights.
    steps, batch_size, learning_rate: of Adam; the rate falls linearly to zero.
    n_samples: on which the final losses rest.
    """

    n_features: int = 10
    density: float = 0.35
    n_features_control: int = 20
    density_control: float = 0.5
    importance: float = 0.8
    n_hidden: int = 10
    n_seeds: int = 64
    init_scale: float = 0.1
    steps: int = 8_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 18


class Motif(NamedTuple):
    """Attributes:
    shared: the neuron that holds both features.
    strong, weak: the features with its large and its small in-weight.
    mender: the neuron that `strong` drives and that holds the answer to `weak` down.
    """

    shared: int
    strong: int
    weak: int
    mender: int


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_main, key_control = jax.random.split(random.key(seed))
    main = Networks(settings.n_features, settings.density)
    control = Networks(settings.n_features_control, settings.density_control)
    with job.stage("networks"):
        params, loss = train(key_main, main, "networks", settings, job)
    with job.stage("control"):
        control_params, control_loss = train(key_control, control, "control", settings, job)
    found = motifs_of(params)
    found_control = motifs_of(control_params)
    has = np.array([bool(motifs) for motifs in found])
    has_control = np.array([bool(motifs) for motifs in found_control])
    shown = min(np.flatnonzero(has), key=lambda s: loss[s], default=int(loss.argmin()))
    arrays = {
        "W_in": np.asarray(params.W_in)[shown],
        "W_out": np.asarray(params.W_out)[shown],
        "b": np.asarray(params.b)[shown],
        "motif": np.array(found[shown][0] if has[shown] else (-1,) * 4),
        "loss": loss,
        "has_motif": has,
        "loss_control": control_loss,
        "has_motif_control": has_control,
    }
    metrics: dict[str, Any] = {
        "share_with_motif": float(has.mean()),
        "share_with_motif_control": float(has_control.mean()),
        "motifs_per_network": float(np.mean([len(motifs) for motifs in found])),
        "best_has_motif": bool(has[loss.argmin()]),
        "best_has_motif_control": bool(has_control[control_loss.argmin()]),
        "best_loss": float(loss.min()),
        "best_loss_with_motif": float(loss[has].min()) if has.any() else None,
        "monosemantic_neurons": float(
            superposition.monosemantic(params.W_in).sum(-1).mean()
        ),
        "monosemantic_neurons_control": float(
            superposition.monosemantic(control_params.W_in).sum(-1).mean()
        ),
    }
    return Result(metrics, arrays, make_checks(metrics, settings), table(metrics))


class Networks(NamedTuple):
    """Attributes:
    n_features: each of importance importance^i.
    density: probability that a feature is present, uniform on [-1, 1].
    """

    n_features: int
    density: float


def train(key, data: Networks, name: str, settings: Settings, job: Job):
    """All seeds of one kind: their parameters [seed, ...] and losses [seed]."""
    key_train, key_loss = jax.random.split(key)
    importance = settings.importance ** jnp.arange(data.n_features)
    model = superposition.AbsoluteValue(
        data.n_features, settings.n_hidden, importance, settings.init_scale
    )

    def problem(density):
        law = firing.Independent(jnp.full(data.n_features, density))
        return model, SparseFeatures.of_features(law, magnitude.Uniform(-1, 1))

    density = np.array([data.density])
    params, _ = superposition.train(
        key_train,
        problem,
        density,
        n_seeds=settings.n_seeds,
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=optax.adam(
            optax.linear_schedule(settings.learning_rate, 0, settings.steps)
        ),
        share_draws=True,
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name),
    )
    params = jax.device_get(params)
    loss = superposition.losses(key_loss, problem, density, params, settings.n_samples)
    return jax.tree.map(lambda x: x[0], params), loss[0]


def motifs_of(params: superposition.UntiedParams) -> list[list[Motif]]:
    """The motifs of every network."""
    pairs = zip(np.asarray(params.W_in), np.asarray(params.W_out), strict=True)
    return [find_motifs(W_in, W_out) for W_in, W_out in pairs]


def find_motifs(W_in: np.ndarray, W_out: np.ndarray) -> list[Motif]:
    """Every asymmetric motif of a network, [feature, neuron] and [neuron, feature].

    A neuron k serves both features: |in x out| > 0.25 for each, both out-weights positive.
    Its in-weights differ by more than a factor of two, and its out-weights by more than two
    the other way round. Another neuron is driven by the strong feature with the same sign
    and takes back at least half of what k leaks into the weak feature's answer.
    """
    served = np.abs(W_in) * W_out.T > 0.25
    motifs = []
    for k in range(W_in.shape[1]):
        for i, j in itertools.permutations(np.flatnonzero(served[:, k]), 2):
            by_in = abs(W_in[i, k]) > 2 * abs(W_in[j, k])
            by_out = W_out[k, j] > 2 * W_out[k, i]
            leak = abs(W_in[i, k]) * W_out[k, j]
            taken_back = -np.sign(W_in[i, k]) * W_in[i] * W_out[:, j]
            taken_back[np.sign(W_in[i]) != np.sign(W_in[i, k])] = 0
            mender = int(taken_back.argmax())
            if by_in and by_out and taken_back[mender] > leak / 2:
                motifs.append(Motif(k, int(i), int(j), mender))
    return motifs


def make_checks(metrics: dict[str, Any], settings: Settings) -> list[Check]:
    """The motif is there, and there more than in the control."""
    return [
        Check(
            "share of networks with the motif",
            metrics["share_with_motif"],
            1 / settings.n_seeds,
            None,
            f"{PAPER}: it occurs; no rate is published",
        ),
        Check(
            "share of control networks with the motif",
            metrics["share_with_motif_control"],
            None,
            0.05,
            "ARENA course material: no superposition at density 0.5",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    return [f"{name:<30}{value}" for name, value in metrics.items()]


EXPERIMENT = Experiment(
    name="asymmetric_motif",
    question="Does a neuron hold two features by unequal weights, with another mending it?",
    source=PAPER,
    minutes=1,
    settings=Settings(),
    quick=Settings(n_seeds=16),
    run=run,
    figures=(asymmetric_motif,),
    expect="A neuron (outlined) has one large and one small in-weight and the opposite "
    "out-weights; a second neuron, driven by the strong feature, has a large negative "
    "out-weight on the weak one. The published figure shows one such pair.",
)
