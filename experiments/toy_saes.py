"""How often do five latents find the five features of a pentagon, and does resampling help?

The smallest dictionary exercise there is (ARENA 1.5.4): five features lie on a regular
pentagon of norm 1.15 in two dimensions, as the 5-2 toy model of Elhage et al. 2022 stores
them, each present in 2.5 % of the samples. ReLU dictionaries with exactly five latents and
an L1 penalty are fitted to them, 64 per condition, with and without bringing dead latents
back in random directions every 2,500 steps. A dictionary is full when every feature has a
latent of cosine above 0.97 and no latent is dead.

The exercise minimises the mean over the two dimensions of the squared error plus penalty *
sum of latents; here the squared error is summed, so that `ReLU.sparsity` is twice its
penalty and the loss twice its loss. Its decoder rows are scaled in the forward pass, here
after each step; its encoder starts apart from its decoder, here as its transpose; and the
pentagon is exact here where the exercise trains a toy model first. All conditions share
initial weights and data seed by seed.

Run:     python -m experiments toy_saes
Takes:   about 3 minutes on two cores
Expect:  at penalty 0.2 about one dictionary in ten is full without resampling, nearly all
         with it; at penalty 0.05 none
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import full_dictionaries, toy_dictionaries
from synthetic import SparseFeatures, firing, magnitude, random
from synthetic.directions import unit_rows
from toymodels import ensemble, fit
from toymodels.sae import ReLU, training
from toymodels.sae.revival import RandomRestart
from toymodels.scores import geometry, reconstruction, streaming
from toymodels.superposition import unrolled

CLOSE = 0.97
BLOCK = 8  # dictionaries side by side on a core
SCORES = ("mmcs", "latent_max_cosine", "l0", "dead", "unexplained")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, norm: of the regular polygon, in two dimensions.
    density: probability that a feature is present.
    n_latents: of every dictionary.
    penalties: weights of the L1 term where the squared error is a mean over dimensions.
    n_seeds: dictionaries per condition.
    steps, batch_size, learning_rate: of Adam.
    every, window: steps between two rounds of resampling, and of silence before it.
    scale: length of a new encoder column.
    n_samples: on which the scores rest.
    """

    n_features: int = 5
    norm: float = 1.15
    density: float = 0.025
    n_latents: int = 5
    penalties: tuple = (0.2, 0.05)
    n_seeds: int = 64
    steps: int = 20_000
    batch_size: int = 1024
    learning_rate: float = 1e-3
    every: int = 2_500
    window: int = 500
    scale: float = 0.5
    n_samples: int = 1 << 16


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_score = jax.random.split(random.key(seed))
    world = polygon(settings)
    conditions, dictionaries = members(settings)
    with job.stage("dictionaries"):
        state, history = fit_all(key_fit, dictionaries, world, settings, job)
    with job.stage("scores"):
        scores = score(key_score, dictionaries, state.params, world, settings)
    grid = (len(conditions), settings.n_seeds)
    full = history.metrics["full"].reshape(-1, *grid)
    share = full.mean(axis=-1)
    low, high = wilson(full.sum(axis=-1), settings.n_seeds)
    values = {name: scores[name].reshape(grid) for name in SCORES}
    metrics: dict[str, Any] = {
        "conditions": conditions,
        "full": share[-1].tolist(),
        "full_interval": np.stack([low[-1], high[-1]], axis=-1).tolist(),
        "true_l0": settings.n_features * settings.density,
        **{name: value.mean(axis=-1).tolist() for name, value in values.items()},
    }
    arrays = {
        "directions": np.asarray(world.directions),
        "W_dec": np.asarray(state.params.W_dec).reshape(*grid, settings.n_latents, 2),
        "silent": scores["silent"].reshape(*grid, settings.n_latents),
        "full": full[-1],
        "step": history.step,
        "share": share,
        "share_low": low,
        "share_high": high,
        **values,
    }
    checks = make_checks(settings, metrics)
    return Result(metrics, arrays, checks, table(metrics))


def polygon(settings: Settings) -> SparseFeatures:
    """A regular polygon; features are uniform on [0, norm] along its unit directions."""
    angle = 2 * jnp.pi * jnp.arange(settings.n_features) / settings.n_features
    rows = unit_rows(jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1))
    rate = firing.constant(settings.n_features, settings.density)
    return SparseFeatures(
        rows, firing.Independent(rate), magnitude.Uniform(0.0, settings.norm)
    )


def members(settings: Settings) -> tuple[list[str], ReLU]:
    """The names of the conditions, and the dictionaries [condition * seed] as one pytree.

    Without resampling the rounds end at step 0. With it the last round leaves one period
    to settle.
    """
    names, stacked = [], []
    for penalty in settings.penalties:
        for last in (0, settings.steps - settings.every):
            names.append(f"penalty {penalty:g}, {'with' if last else 'no'} resampling")
            rule = RandomRestart(
                settings.every, last, settings.window * settings.batch_size, settings.scale
            )
            stacked += settings.n_seeds * [
                ReLU(settings.n_latents, sparsity=2 * penalty, revive=rule)
            ]
    return names, ensemble.stack(stacked)


def fit_all(key, dictionaries: ReLU, world: SparseFeatures, settings: Settings, job: Job):
    """Fits every dictionary; a seed has the same start and data in every condition."""
    key_init, key_data = jax.random.split(key)
    optimizer = optax.adam(settings.learning_rate)
    n_members = len(jax.tree.leaves(dictionaries)[0])
    seed_of = jnp.arange(n_members) % settings.n_seeds

    def start(key, dictionary):
        return training.start(key, dictionary, world.d_model, optimizer)

    def advance(key, dictionary, state, n):
        return fit.advance(
            key,
            state,
            n,
            loss=dictionary.loss,
            sample=partial(positions, world, settings.batch_size),
            optimizer=optimizer,
            after=dictionary.after,
        )

    together = ensemble.over_members(advance, n_members, shared=1, block=BLOCK)
    keys = jax.random.split(key_data, settings.n_seeds)[seed_of]
    starts = jax.random.split(key_init, settings.n_seeds)[seed_of]
    quiet = settings.window * settings.batch_size // 10

    def measure(state: fit.State) -> dict[str, Array]:
        return {"full": is_full(state.params.W_dec, world.directions, state.memory > quiet)}

    return fit.run(
        jax.jit(lambda states, n: together(keys, dictionaries, states, n)),
        jax.vmap(start)(starts, dictionaries),
        settings.steps,
        chunk=max(1, settings.steps // 40),
        measure=jax.jit(jax.vmap(measure)),
        progress=job.progress("dictionaries", settings.steps),
        checkpoints=job.checkpoints("dictionaries"),
    )


def positions(world: SparseFeatures, batch_size: int, key: Key[Array, ""]) -> Array:
    """The x of a batch, its products with the directions written out: twice as fast."""
    features = unrolled.columns(world.sample(key, batch_size).features)
    return jnp.stack(unrolled.product(features, world.directions), axis=-1)


def is_full(
    W_dec: Float[Array, "latent d_model"],
    directions: Float[Array, "feature d_model"],
    dead: Array,
) -> Array:
    """Whether every feature has a latent of cosine above 0.97 and no latent is dead."""
    cosine = unit_rows(W_dec) @ directions.T
    return jnp.all(cosine.max(axis=0) > CLOSE) & ~jnp.any(dead)


def score(key, dictionaries, params, world, settings: Settings) -> dict[str, np.ndarray]:
    """Every score as an array [member], all on the same samples; `silent` per latent."""

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    found = streaming.member_statistics(
        codes, (dictionaries, params), world, key, settings.n_samples
    )
    cosines = [geometry.cosines(W_dec, world.directions) for W_dec in params.W_dec]
    return {
        "mmcs": np.array([geometry.feature_max_cosine(c) for c in cosines]),
        "latent_max_cosine": np.array([geometry.latent_max_cosine(c) for c in cosines]),
        "l0": np.array([reconstruction.l0(s) for s in found]),
        "dead": settings.n_latents * np.array([reconstruction.dead(s) for s in found]),
        "unexplained": 1 - np.array([reconstruction.explained_variance(s) for s in found]),
        "silent": np.array([s.z_on == 0 for s in found]),
    }


def wilson(successes: np.ndarray, n: int, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share, by Wilson's formula (1927)."""
    share = np.asarray(successes) / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


REFERENCE = {  # 64 dictionaries in an independent run: mmcs, l0, and half widths of bands
    "penalty 0.2, no resampling": {"mmcs": (0.902, 0.03), "l0": (0.121, 0.01)},
    "penalty 0.2, with resampling": {"mmcs": (0.995, 0.01), "l0": (0.113, 0.01)},
    "penalty 0.05, no resampling": {"mmcs": (0.909, 0.03), "l0": (0.189, 0.03)},
}


def make_checks(settings: Settings, metrics: dict[str, Any]) -> list[Check]:
    """What resampling must gain, and at full length the numbers of an independent run."""
    full = dict(zip(metrics["conditions"], metrics["full"], strict=True))
    without, with_rounds = metrics["conditions"][:2]
    gain = full[with_rounds] - full[without]
    exercise = "ARENA 1.5.4: most dictionaries are full with resampling, few without"
    checks = [Check("full dictionaries that resampling gains", gain, 0.4, None, exercise)]
    if settings.steps < Settings.steps:
        return checks
    bands = {
        "penalty 0.2, no resampling": (None, 0.3, "11 % of 64 in an independent run"),
        "penalty 0.2, with resampling": (0.8, None, "94 % of 64 in an independent run"),
        "penalty 0.05, no resampling": (None, 0.05, "none of 64 in an independent run"),
    }
    checks += [
        Check(f"{name}: share full", full[name], low, high, source)
        for name, (low, high, source) in bands.items()
        if name in full
    ]
    for place, name in enumerate(metrics["conditions"]):
        checks += [
            Check(
                f"{name}: {quantity}",
                metrics[quantity][place],
                expected - width,
                expected + width,
                f"{expected} as the mean of 64 in an independent run",
            )
            for quantity, (expected, width) in REFERENCE.get(name, {}).items()
        ]
    return checks


def table(metrics: dict[str, Any]) -> list[str]:
    """One line per condition."""
    header = "{:<30}{:>7}{:>16}{:>8}{:>8}{:>7}{:>7}{:>13}".format(
        "", "full", "95 % interval", "mmcs", "latents", "L0", "dead", "unexplained"
    )
    lines = [header]
    for place, name in enumerate(metrics["conditions"]):
        low, high = metrics["full_interval"][place]
        mmcs, latents, l0, dead, unexplained = (metrics[s][place] for s in SCORES)
        lines.append(
            f"{name:<30}{metrics['full'][place]:>7.0%}{low:>9.0%} to {high:>3.0%}"
            f"{mmcs:>8.3f}{latents:>8.3f}{l0:>7.3f}{dead:>7.2f}{unexplained:>13.3f}"
        )
    lines.append(
        f"the true L0 is {metrics['true_l0']:.3f}; mmcs: mean over features of the"
    )
    lines.append("largest cosine of a latent; latents: the same from the latents' side")
    return lines


EXPERIMENT = Experiment(
    name="toy_saes",
    question="How often do five latents find a pentagon's five features?",
    source="ARENA 1.5.4, sparse autoencoders in toy models; after Bricken et al. 2023",
    minutes=3,
    settings=Settings(),
    quick=Settings(penalties=(0.2,), n_seeds=16, steps=10_000, n_samples=1 << 14),
    run=run,
    figures=(toy_dictionaries, full_dictionaries),
    expect="Without resampling most dictionaries at penalty 0.2 leave one or two latents "
    "dead and put others between two features; with it nearly all lie on the pentagon. At "
    "penalty 0.05 none does. The course shows the same pictures for sixteen dictionaries.",
)
