r"""Can training choose neurons that answer to one feature, at no cost in loss?

"Engineering Monosemanticity in Toy Models" (Jermyn, Schiefer and Hubinger 2022), the
decoder task: N sparse features are seen through a fixed random projection to d < N
dimensions, and a hidden layer of k neurons with a bias, then a linear layer without one,
has to give the features back. The paper finds minima of equal loss and very different
monosemanticity at different learning rates, and reaches the monosemantic ones on purpose:
biases start at -1 and decay to zero during the first half of the run.

Density 1/64, uniform magnitudes, LAMB with a cosine, as in the authors' code. A neuron is
monosemantic when one feature makes more than 0.999 of its response to all features, each
shown alone at value 1. A sixteenth of the paper's size in multiplications: N, d and k are
a quarter each, with 8,192 steps of 512 samples. The bias decay is per unit of learning
rate and step, so it is sixteen times the paper's. The paper's size, on a GPU:

    python -m experiments engineering_monosemanticity --set n_features=512 \
        --set d_model=64 --set n_neurons=1024 --set batch_size=8192 \
        --set steps=131072 --set bias_decay=0.03

Run:     python -m experiments engineering_monosemanticity
Takes:   about 3 minutes on two cores
Expect:  more monosemantic neurons with engineered biases at every rate, at a loss that is
         no higher
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import engineering_monosemanticity as figure
from synthetic import SparseFeatures, directions, firing, random
from synthetic.base import Batch
from toymodels import ensemble, fit

PAPER = "Jermyn, Schiefer and Hubinger 2022"
VARIANTS = ("plain", "engineered")
MONOSEMANTIC = 0.999


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, d_model, n_neurons: N, d and k.
    density: probability that a feature is present; then it is uniform on [0, 1].
    learning_rates: of LAMB, at the start of the cosine.
    bias_start, bias_decay: of the engineered variant; the plain one has 0 and 0.
    n_seeds: models of each rate and variant.
    steps, batch_size: fresh samples.
    n_samples: on which the final losses rest.
    """

    n_features: int = 128
    d_model: int = 16
    n_neurons: int = 256
    density: float = 1 / 64
    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.007, 0.03)
    bias_start: float = -1.0
    bias_decay: float = 0.48
    n_seeds: int = 1
    steps: int = 8_192
    batch_size: int = 512
    n_samples: int = 1 << 16


class Params(NamedTuple):
    """Attributes:
    W_in: [d_model, neuron].
    b: [neuron].
    W_out: [neuron, feature].
    """

    W_in: Array
    b: Array
    W_out: Array


@struct.dataclass
class Choice:
    """What differs between models.

    Attributes:
        learning_rate: at the start of the cosine.
        bias_start: every initial bias.
        bias_decay: in the first half of the run.
    """

    learning_rate: ArrayLike
    bias_start: ArrayLike
    bias_decay: ArrayLike


def begin(key: Key[Array, ""], choice: Choice, settings: Settings) -> Params:
    """Normal weights that keep the scale of what they are given."""
    d, k, n = settings.d_model, settings.n_neurons, settings.n_features
    key_in, key_out = jax.random.split(key)
    return Params(
        jax.random.normal(key_in, (d, k)) / d**0.5,
        jnp.full(k, choice.bias_start),
        jax.random.normal(key_out, (k, n)) / k**0.5,
    )


def neurons(params: Params, x: Float[Array, "*batch d"]) -> Float[Array, "*batch neuron"]:
    """relu(x W_in + b)."""
    return jax.nn.relu(x @ params.W_in + params.b)


def squared_error(params: Params, batch: Batch) -> Float[Array, ""]:
    """Averaged over samples and features."""
    return jnp.mean(jnp.square(batch.features - neurons(params, batch.x) @ params.W_out))


def advance(
    state: fit.State,
    choice: Choice,
    key: Key[Array, ""],
    world: SparseFeatures,
    n: Array,
    settings: Settings,
) -> tuple[fit.State, fit.Chunk]:
    """LAMB on fresh samples, and the decay of the biases after each update."""
    rate = optax.cosine_decay_schedule(1.0, settings.steps)

    def decay_biases(key, state, batch):
        strength = choice.learning_rate * rate(state.step) * choice.bias_decay
        strength = jnp.where(state.step <= settings.steps // 2, strength, 0)
        decayed = state.params._replace(b=state.params.b * (1 - strength))
        return state.replace(params=decayed)

    return fit.advance(
        key,
        state,
        n,
        loss=lambda params, batch, memory, step: (
            squared_error(params, batch),
            fit.Outcome({}),
        ),
        sample=lambda key: world.sample(key, settings.batch_size),
        optimizer=lamb(choice, settings),
        after=decay_biases,
    )


def lamb(choice: Choice, settings: Settings) -> optax.GradientTransformation:
    """LAMB whose rate falls from the choice's to 0 along a cosine."""
    rate = optax.cosine_decay_schedule(1.0, settings.steps)
    return optax.lamb(lambda step: choice.learning_rate * rate(step))


def responses(
    params: Params, rows: Float[Array, "feature d"]
) -> Float[Array, "neuron feature"]:
    """What each neuron answers to each feature alone, at value 1."""
    return neurons(params, rows).T


def monosemantic(response: Float[np.ndarray, "neuron feature"]) -> np.ndarray:
    """Which neurons give more than 0.999 of their summed response to one feature."""
    return response.max(axis=-1) > MONOSEMANTIC * response.sum(axis=-1)


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_world, key_init, key_data, key_loss = jax.random.split(random.key(seed), 4)
    rows = directions.random(key_world, settings.n_features, settings.d_model)
    law = firing.Independent(firing.constant(settings.n_features, settings.density))
    world = SparseFeatures(rows, law)
    grid = (len(VARIANTS), len(settings.learning_rates), settings.n_seeds)
    n = int(np.prod(grid))
    choices = choices_of(settings)
    states = jax.vmap(
        lambda key, choice: fit.start(begin(key, choice, settings), lamb(choice, settings))
    )(jax.random.split(key_init, n), choices)
    together = jax.jit(
        ensemble.over_members(lambda *args: advance(*args, settings=settings), n, shared=3)
    )
    with job.stage("models"):
        states, _ = fit.run(
            lambda states, n: together(states, choices, key_data, world, n),
            states,
            settings.steps,
            chunk=max(1, settings.steps // 20),
            progress=job.progress("models", settings.steps),
            checkpoints=job.checkpoints("models"),
        )
    test = world.sample(key_loss, settings.n_samples)
    loss = jax.jit(lambda p: jax.lax.map(lambda q: squared_error(q, test), p))(
        states.params
    )
    response = np.asarray(jax.vmap(responses, (0, None))(states.params, rows))
    response = response.reshape(*grid, *response.shape[1:])
    share = monosemantic(response).mean(axis=-1)
    loss = np.asarray(loss).reshape(grid)
    arrays = {
        "learning_rate": np.array(settings.learning_rates),
        "loss": loss,
        "share": share,
        "bias": np.asarray(states.params.b).reshape(*grid, -1),
        "purity": response.max(-1) / np.maximum(response.sum(-1), 1e-9),
    }
    metrics = {
        "learning_rate": list(settings.learning_rates),
        **{
            f"loss_{v}": row.mean(-1).tolist()
            for v, row in zip(VARIANTS, loss, strict=True)
        },
        **{
            f"share_{v}": row.mean(-1).tolist()
            for v, row in zip(VARIANTS, share, strict=True)
        },
        "loss_of_mean": predict_mean_loss(settings.density),
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def choices_of(settings: Settings) -> Choice:
    """Every variant with every learning rate and seed, along one axis."""
    engineered, rate, _ = np.meshgrid(
        [0.0, 1.0], settings.learning_rates, np.zeros(settings.n_seeds), indexing="ij"
    )
    engineered, rate = (jnp.asarray(x.ravel(), jnp.float32) for x in (engineered, rate))
    return Choice(rate, engineered * settings.bias_start, engineered * settings.bias_decay)


def predict_mean_loss(density: float) -> float:
    """The variance p / 3 - p^2 / 4 of a feature: the loss of answering its mean."""
    return density / 3 - density**2 / 4


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """The paper's claims, each across the learning rates."""
    loss, share = (
        {v: np.array(metrics[f"{name}_{v}"]) for v in VARIANTS}
        for name in ("loss", "share")
    )
    ratio = loss["engineered"] / loss["plain"]
    gain = share["engineered"] - share["plain"]
    spread = share["plain"].max() - share["plain"].min()
    no_cost = f"{PAPER}: more monosemantic at no cost in loss"
    return [
        Check(
            "smallest gain in the monosemantic share", float(gain.min()), 0.0, None, no_cost
        ),
        Check(
            "largest gain in the monosemantic share", float(gain.max()), 0.2, None, no_cost
        ),
        Check("median of the loss ratio", float(np.median(ratio)), None, 1.05, no_cost),
        Check(
            "spread of the plain share over learning rates",
            float(spread),
            0.1,
            None,
            f"{PAPER}: monosemanticity depends on the learning rate",
        ),
        Check(
            "largest loss over that of answering the mean",
            float(max(x.max() for x in loss.values()) / metrics["loss_of_mean"]),
            None,
            0.5,
            "closed form: the variance p / 3 - p^2 / 4 of a feature",
        ),
    ]


COLUMNS = (
    "learning_rate",
    "loss_plain",
    "loss_engineered",
    "share_plain",
    "share_engineered",
)


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per learning rate."""
    rows = zip(*(metrics[column] for column in COLUMNS), strict=True)
    return [
        "{:>6}{:>13}{:>13}{:>15}{:>13}".format(
            "rate", "loss, plain", "engineered", "share, plain", "engineered"
        ),
        *("{:>6g}{:>13.6f}{:>13.6f}{:>15.1%}{:>13.1%}".format(*row) for row in rows),
    ]


EXPERIMENT = Experiment(
    name="engineering_monosemanticity",
    question="Can training choose neurons that answer to one feature, at no cost in loss?",
    source="Jermyn, Schiefer and Hubinger 2022, at a sixteenth of the size",
    minutes=3,
    settings=Settings(),
    quick=Settings(learning_rates=(0.003, 0.007), steps=2_048, bias_decay=1.92),
    run=run,
    figures=(figure,),
    expect="With engineered biases more neurons answer to a single feature, and the loss "
    "is no higher, as in the paper.",
)
