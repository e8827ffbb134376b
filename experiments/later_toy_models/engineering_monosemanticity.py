r"""Can a network be steered to monosemantic neurons without a higher loss?

"Engineering Monosemanticity in Toy Models" (Jermyn, Schiefer & Hubinger 2022): features
reach the network through a fixed random embedding into few dimensions, and one hidden layer
reads them off again. Networks of equal loss differ widely in how many of their neurons
respond to one feature alone. Biases that start at -1, and are shrunk a little in the first
half of training, lead to minima with many such neurons. A neuron is monosemantic when one
feature has more than 0.999 of its summed response to features presented alone.

Sweeps: learning rates, and numbers of neurons, each with both starts. LAMB, with a rate
that goes down and up a cosine every 1,024 steps, is the authors'; so are the density 1/64,
the threshold 0.999 and the decay. Theirs have 512 features in 64 dimensions, 1,024 neurons,
batches of 8,192 and 2^17 steps: hours on a CPU. The default has a quarter of the features
and of the neurons, half of the dimensions, and far fewer and smaller steps. At -1 all
neurons are silent until the decay has brought them near -0.3; for that there are too few
steps, and they start at -1/2. The paper's size, for a GPU:

    python -m experiments engineering_monosemanticity --set n_features=512 \
        --set d_model=64 --set n_neurons=1024 --set neurons=128,256,512,1024,2048 \
        --set rates=0.001,0.003,0.005,0.007,0.01,0.03 --set rate=0.007 --set n_seeds=1 \
        --set batch_size=8192 --set steps=131072 --set start_bias=-1.0

Run:     python -m experiments engineering_monosemanticity
Takes:   about 7 minutes on one of two cores, the other at work
Expect:  the higher the rate, the more monosemantic neurons (0.00 to 0.30 per feature from
         the plain start on seed 12), and the more, the more negative the biases. The
         negative start was ahead with 64, 128 and 512 neurons (0.88 against 0.36 per
         feature with 512, at a loss 7 % higher) but not with the 256 of the check, 0.13
         against 0.16: that finding is not reproduced at this size, and its check fails.
         Seed 31 gave the same picture (1.07 against 0.51 with 512, 0.15 against 0.22 with
         256, there at a loss 4 % higher, where the check allows 3)
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import Within
from figures.later_toy_models import engineering_monosemanticity as figure
from synthetic import SparseFeatures, firing, random
from toymodels import superposition
from toymodels.training import ensemble, loop

PAPER = "Jermyn, Schiefer & Hubinger 2022"
ALONE = 0.999
HALF_PERIOD = 512
STARTS = ("plain", "negative")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, d_model, density: of the world; values are uniform on [0, 1].
    n_neurons: of the networks whose learning rate is swept.
    rates: learning rates.
    neurons: numbers of neurons that are swept, at `rate`.
    rate: their learning rate.
    start_bias: added to the initial biases of the negative start.
    bias_decay: with that start, biases lose this times the rate in every step of the
        first half.
    n_seeds: networks of each kind, with starts and data of their own.
    steps, batch_size: of LAMB.
    n_samples: on which the final losses rest, the same for all networks.
    """

    n_features: int = 128
    d_model: int = 32
    density: float = 1 / 64
    n_neurons: int = 256
    rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    neurons: tuple[int, ...] = (64, 128, 256, 512)
    rate: float = 0.01
    start_bias: Annotated[float, Within()] = -0.5
    bias_decay: float = 0.03
    n_seeds: int = 2
    steps: int = 1 << 13
    batch_size: int = 512
    n_samples: int = 1 << 17


class Sweep(NamedTuple):
    """Networks of both starts; leaves are [start, rate, seed, ...].

    Attributes:
        loss: the final loss over that of an answer of zero.
        per_feature: monosemantic neurons over features.
        bias: mean over the neurons.
        history: per_feature as training goes, [row, start, rate, seed].
        step: of the rows.
        responses: of every neuron to each feature alone, [..., feature, neuron].
    """

    loss: np.ndarray
    per_feature: np.ndarray
    bias: np.ndarray
    history: np.ndarray
    step: np.ndarray
    responses: np.ndarray


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_embedding, key_train, key_loss = jax.random.split(random.key(seed), 3)
    embedding = superposition.crowded_embedding(
        key_embedding, settings.n_features, settings.d_model
    )

    def sweep(name, n_neurons, rates):
        key = jax.random.fold_in(key_train, n_neurons)
        model = superposition.FeatureDecoder(embedding, n_neurons)
        return train(key, jax.random.clone(key_loss), name, model, rates, settings, job)

    with job.stage("rates"):
        rates = sweep("rates", settings.n_neurons, settings.rates)
    with job.stage("neurons"):
        widths = [sweep(f"{k} neurons", k, (settings.rate,)) for k in settings.neurons]
    shown = int(np.abs(np.log(settings.rates) - np.log(settings.rate)).argmin())
    arrays = {
        "rate": np.array(settings.rates),
        "loss": rates.loss,
        "per_feature": rates.per_feature,
        "bias": rates.bias,
        "step": rates.step,
        "history": rates.history,
        "responses": rates.responses[:, shown, 0],
        "neurons": np.array(settings.neurons),
        "loss_of_neurons": np.stack([w.loss[:, 0] for w in widths], axis=1),
        "per_feature_of_neurons": np.stack([w.per_feature[:, 0] for w in widths], axis=1),
    }
    metrics = {name: arrays[name].tolist() for name in TABLED}
    return Result(metrics, arrays, make_checks(arrays, shown), table(arrays))


TABLED = (
    *("rate", "loss", "per_feature", "bias"),
    *("neurons", "loss_of_neurons", "per_feature_of_neurons"),
)


def world_of(settings: Settings) -> SparseFeatures:
    """Features that are 0, or with the given density uniform on [0, 1]."""
    density = jnp.full(settings.n_features, settings.density)
    return SparseFeatures.of_features(firing.Independent(density))


def train(
    key: Key[Array, ""],
    key_loss: Key[Array, ""],
    name: str,
    model: superposition.FeatureDecoder,
    rates: tuple[float, ...],
    settings: Settings,
    job: Job,
) -> Sweep:
    """Both starts at each learning rate; seed j of all has the same draws."""
    world = world_of(settings)
    axes = range(len(STARTS)), rates, range(settings.n_seeds)
    start, rate, seed = np.meshgrid(*axes, indexing="ij")
    member = {"negative": start.ravel(), "rate": rate.ravel(), "seed": seed.ravel()}
    member = jax.tree.map(jnp.asarray, member)

    def optimizer(rate):
        return optax.lamb(lambda step: rate * up_and_down(step))

    def key_of(setting, purpose):
        own = jax.random.fold_in(jax.random.clone(key), setting["seed"])
        return jax.random.fold_in(own, purpose)

    def begin(setting):
        begun = replace(model, start_bias=settings.start_bias * setting["negative"])
        return loop.start(begun.init(key_of(setting, 0)), optimizer(setting["rate"]))

    def shrink_bias(setting):
        decay = settings.bias_decay * setting["negative"] * setting["rate"]

        def after(key, state, batch):
            first_half = state.step <= settings.steps // 2
            b = state.params.b * (1 - decay * first_half)
            return state.replace(params=state.params._replace(b=b))

        return after

    def advance(state, setting, n):
        return loop.advance(
            key_of(setting, 1),
            state,
            n,
            loss=model.loss,
            sample=lambda key: world.sample(key, settings.batch_size).features,
            optimizer=optimizer(setting["rate"]),
            after=shrink_bias(setting),
        )

    together = ensemble.over_members(advance, start.size, shared=1)
    states, history = loop.run(
        jax.jit(lambda states, n: together(states, member, n)),
        jax.jit(jax.vmap(begin))(member),
        settings.steps,
        chunk=max(1, settings.steps // 32),
        measure=jax.jit(lambda states: {"alone": per_feature(model, states.params)}),
        progress=job.progress(name, settings.steps),
        checkpoints=job.checkpoints(name.replace(" ", "_")),
    )
    params = jax.device_get(states.params)
    loss = losses(key_loss, model, params, settings)
    grid = start.shape
    return Sweep(
        loss.reshape(grid),
        np.asarray(per_feature(model, params)).reshape(grid),
        np.asarray(params.b).mean(axis=1).reshape(grid),
        history.metrics["alone"].reshape(-1, *grid),
        history.step,
        np.asarray(jax.vmap(model.responses)(params)).reshape(
            *grid, model.n_features, model.n_neurons
        ),
    )


def up_and_down(step: ArrayLike) -> Array:
    """From 1 along a cosine to 0 and back, every 1,024 steps."""
    return (1 + jnp.cos(jnp.pi * jnp.asarray(step) / HALF_PERIOD)) / 2


def per_feature(model: superposition.FeatureDecoder, params: Any) -> Array:
    """[network]: monosemantic neurons over features."""
    responses = jax.vmap(model.responses)(params)
    alone = superposition.monosemantic(responses, ALONE)
    return jnp.sum(alone, axis=-1) / model.n_features


def losses(key, model, params, settings: Settings) -> np.ndarray:
    """[network]: the loss on common samples, over that of an answer of zero."""
    world = world_of(settings)

    @jax.jit
    def block(key):
        features = world.sample(key, 1 << 12).features
        found = jax.lax.map(lambda p: model.loss(p, features, (), 0)[0], params)
        return found, jnp.mean(jnp.square(features))

    keys = jax.random.split(key, max(1, settings.n_samples >> 12))
    found, zero = zip(*(jax.device_get(block(k)) for k in keys), strict=True)
    return np.mean(found, axis=0, dtype=float) / np.mean(zero, dtype=float)


def make_checks(arrays: dict[str, np.ndarray], shown: int) -> list[Check]:
    """The paper's four findings, on means over seeds; `shown` is the main rate's place."""
    alone, loss = arrays["per_feature"].mean(axis=2), arrays["loss"].mean(axis=2)
    by_width = arrays["per_feature_of_neurons"].mean(axis=2)[1]
    everywhere = np.corrcoef(arrays["per_feature"].ravel(), arrays["bias"].ravel())[0, 1]
    return [
        Check.at_least(
            "range of monosemantic neurons per feature over the rates, plain start",
            float(np.ptp(alone[0])),
            0.1,
            f"{PAPER}: it differs widely with the learning rate",
        ),
        Check.at_most(
            "loss of the negative start over the plain one's, at the main rate",
            float(loss[1, shown] / loss[0, shown]),
            1.03,
            f"{PAPER}: at no cost in loss",
        ),
        Check.at_least(
            "monosemantic neurons per feature, negative minus plain, at the main rate",
            float(alone[1, shown] - alone[0, shown]),
            0.0,
            f"{PAPER}: negative biases lead to more of them",
        ),
        Check.at_most(
            "correlation of monosemantic neurons with the mean bias, all networks",
            float(everywhere),
            -0.5,
            f"{PAPER}: more monosemantic minima have more negative biases",
        ),
        Check.at_least(
            "monosemantic neurons per feature, most neurons minus fewest",
            float(by_width[-1] - by_width[0]),
            0.0,
            f"{PAPER}: the more neurons, the more monosemantic",
        ),
    ]


def table(arrays: dict[str, np.ndarray]) -> list[str]:
    """A line for each network kind: means over seeds."""
    lines = []
    for name, suffix in (("rate", ""), ("neurons", "_of_neurons")):
        lines.append(f"{name:>10}{'start':>10}{'loss/zero':>12}{'monosemantic':>14}")
        loss, alone = (
            arrays[column + suffix].mean(axis=2) for column in ("loss", "per_feature")
        )
        for j, value in enumerate(arrays[name]):
            for i, start in enumerate(STARTS):
                lines.append(
                    f"{value:>10g}{start:>10}{loss[i, j]:>12.4f}{alone[i, j]:>14.3f}"
                )
    return [*lines, "monosemantic: neurons of one feature, over features"]


EXPERIMENT = Experiment(
    name="engineering_monosemanticity",
    question="Can a network be steered to monosemantic neurons without a higher loss?",
    source=f"{PAPER}, at a quarter of the widths",
    minutes=7,
    settings=Settings(),
    quick=Settings(
        n_features=64,
        d_model=20,
        n_neurons=128,
        rates=(0.01, 0.03),
        neurons=(32, 128),
        n_seeds=1,
        steps=4096,
        batch_size=256,
    ),
    run=run,
    figures=(figure,),
    expect="Monosemantic neurons rise with the rate and with the number of neurons, as "
    "published. In the paper the negative start is far above the plain one at every "
    "rate, at the same loss; here, at a quarter of the width and a sixteenth of the steps, "
    "it is above it for some sizes only, and its loss is up to 7 % higher.",
)
