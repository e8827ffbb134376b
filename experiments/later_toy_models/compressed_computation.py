"""Can fifty neurons compute a hundred ReLUs, or does noise in the labels do it?

Braun et al. 2025 trained fifty neurons on y = x + relu(x) for a hundred sparse features,
through a fixed noisy embedding E, and found a loss below that of the naive network, which
gives fifty features a neuron each and ignores the rest. Bhagat et al. 2026 trace the gain
to the embedding: the task is y = relu(x) + x M with M = I - E E^T, and without M the naive
network is never beaten. Here M is zero, symmetric noise of several strengths, or comes from
an embedding into 1,000 dimensions. Adam at 3e-3 with a cosine decay as in the paper, but
fewer and smaller batches. For the paper's size:

    python -m experiments compressed_computation --set steps=10000 --set batch_size=2048

Run:     python -m experiments compressed_computation
Takes:   about 3 minutes on two cores
Expect:  loss / density 0.0833 or a little more on clean labels, below 0.075 with noise of
         deviation 0.03; the network trained with noise does worse than the naive one on
         clean labels
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.later_toy_models import compressed_computation
from synthetic import SparseFeatures, directions, firing, magnitude, random
from toymodels import superposition

PAPER = "Bhagat et al. 2026, as read in a replication"
EXACT = "closed form: half of the features cost 1/6 each, the other half nothing"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the network.
    d_embedding: width of the noisy embedding.
    density: probability that a feature is present, uniform on [-1, 1].
    noises: deviations of the symmetric label noise M; the first is zero.
    n_seeds: networks per M.
    steps, batch_size, learning_rate: of Adam; the rate falls to zero along a cosine.
    n_samples: on which the final losses rest, the same for all networks.
    """

    n_features: int = 100
    n_hidden: int = 50
    d_embedding: int = 1000
    density: float = 0.01
    noises: tuple[float, ...] = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)
    n_seeds: int = 2
    steps: int = 5_000
    batch_size: int = 1024
    learning_rate: float = 3e-3
    n_samples: int = 1 << 19


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_mixing, key_train, key_loss = jax.random.split(random.key(seed), 3)
    mixings = make_mixings(key_mixing, settings)
    law = firing.Independent(jnp.full(settings.n_features, settings.density))
    world = SparseFeatures.of_features(law, magnitude.Uniform(-1, 1))

    def problem(mixing):
        size = settings.n_features, settings.n_hidden
        return superposition.CompressedReLU(*size, mixing), world

    with job.stage("networks"):
        params, history = superposition.train(
            key_train,
            problem,
            mixings,
            n_seeds=settings.n_seeds,
            steps=settings.steps,
            batch_size=settings.batch_size,
            optimizer=optax.adam(
                optax.cosine_decay_schedule(settings.learning_rate, settings.steps)
            ),
            share_draws=True,
            progress=job.progress("networks", settings.steps),
            checkpoints=job.checkpoints("networks"),
        )
    params = jax.device_get(params)

    def loss_on(labels, params):
        keyed = jax.random.clone(key_loss)
        loss = superposition.losses(keyed, problem, labels, params, settings.n_samples)
        return loss / settings.density

    with job.stage("losses"):
        loss = loss_on(mixings, params)
        transplanted = loss_on(jnp.zeros_like(mixings), params)
        naive = jax.tree.map(lambda x: x[None, None], problem(mixings[0])[0].naive())
        naive_loss = float(loss_on(mixings[:1], naive)[0, 0])
    arrays = {
        "noise": np.array(settings.noises),
        "loss": loss,
        "transplanted": transplanted,
        "embedding_noise": np.asarray(off_diagonal(mixings[-1]).std()),
        "naive": np.asarray(exact_loss(settings)),
        "served": served(params),
        "step": history.step,
        "curve": history.metrics["loss"] / settings.density,
    }
    names = [*(f"noise {s:g}" for s in settings.noises), "embedding"]
    metrics: dict[str, Any] = {
        "labels": names,
        "loss_per_density": loss.tolist(),
        "on_clean_labels": transplanted.tolist(),
        "naive_loss_per_density": naive_loss,
    }
    return Result(metrics, arrays, make_checks(settings, metrics), table(metrics))


def exact_loss(settings: Settings) -> float:
    """The naive network's loss over the density."""
    return float(superposition.naive_loss(settings.n_features, settings.n_hidden, 1.0))


def make_mixings(
    key: Key[Array, ""], settings: Settings
) -> Float[Array, "labels feature feature"]:
    """Symmetric noise of every strength, and last I - E E^T with unit rows E.

    The diagonal is zero, as it is for an embedding with unit rows. All strengths scale the
    same noise.
    """
    key_noise, key_embedding = jax.random.split(key)
    n = settings.n_features
    above = jnp.triu(jax.random.normal(key_noise, (n, n)), 1)
    noise = jnp.asarray(settings.noises)[:, None, None] * (above + above.T)
    E = directions.random(key_embedding, n, settings.d_embedding)
    embedding = jnp.eye(n) - E @ E.T
    return jnp.concatenate([noise, embedding[None]])


def off_diagonal(matrix: np.ndarray | Array) -> np.ndarray:
    """The entries off the diagonal."""
    return np.asarray(matrix)[~np.eye(len(matrix), dtype=bool)]


def served(params: Any) -> np.ndarray:
    """[label, seed, feature]: the answer y_i to x_i = 1 alone, over the right one."""
    hidden = np.maximum(np.asarray(params.W_in), 0)
    return np.sum(hidden * np.asarray(params.W_out).swapaxes(-1, -2), axis=-1)


def make_checks(settings: Settings, metrics: dict[str, Any]) -> list[Check]:
    loss, clean = (
        np.array(metrics["loss_per_density"]),
        np.array(metrics["on_clean_labels"]),
    )
    naive, exact = metrics["naive_loss_per_density"], exact_loss(settings)
    return [
        Check.within("naive loss / density", naive, 0.99 * exact, 1.01 * exact, EXACT),
        Check.at_least(
            "best loss on clean labels over the naive one",
            loss[0].min() / naive,
            0.999,
            f"{PAPER}: never beaten",
        ),
        Check.within(
            "best loss / density on clean labels", loss[0].min(), 0.082, 0.086, PAPER
        ),
        *(
            Check.at_most("best loss / density at noise 0.03", loss[i].min(), 0.075, PAPER)
            for i in np.flatnonzero(np.isclose(settings.noises, 0.03))
        ),
        *(
            Check.at_least(
                "trained at noise 0.03: clean loss over the naive one",
                clean[i].min() / naive,
                1.0,
                PAPER,
            )
            for i in np.flatnonzero(np.isclose(settings.noises, 0.03))
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per kind of labels."""
    columns = ("labels", "loss_per_density", "on_clean_labels")
    line = "{:<12}{:>16.4f}{:>21.4f}"
    return [
        "labels      loss / density   its on clean labels",
        *(
            line.format(name, min(loss), min(clean))
            for name, loss, clean in zip(*(metrics[c] for c in columns), strict=True)
        ),
        f"naive network: {metrics['naive_loss_per_density']:.4f}",
    ]


EXPERIMENT = Experiment(
    name="compressed_computation",
    question="Can fifty neurons compute a hundred ReLUs, or does label noise do it?",
    source="Braun et al. 2025; Bhagat et al. 2026",
    minutes=3,
    settings=Settings(),
    quick=Settings(noises=(0.0, 0.03), n_seeds=1, steps=3_000),
    run=run,
    figures=(compressed_computation,),
    expect="Without noise the trained networks lie on the dashed line of the naive one. "
    "With a little noise they lie well below it, and on clean labels above it: they have "
    "learned the noise.",
)
