"""How often do five latents find the five features of a pentagon, and does resampling help?

The smallest dictionary exercise there is (ARENA 1.5.4): five features lie on a regular
pentagon of norm 1.15 in two dimensions, as the 5-2 toy model of Elhage et al. 2022 stores
them, each present in 2.5 % of the samples. ReLU dictionaries with exactly five latents and
an L1 penalty are fitted to them, 64 per condition, with and without bringing dead latents
back in random directions every 2,500 steps. A dictionary is full when every feature has a
latent of cosine above 0.97 and no latent is dead.

The exercise minimises penalty * sum of latents plus the mean over both dimensions of the
squared error; here the squared error is summed, so `ReLU.sparsity` is twice its penalty.
Its pentagon comes from a trained toy model, here it is exact. Encoder and decoder start
independently, as there; a last condition starts the encoder as the decoder's transpose.
A seed has the same data in every condition, and the same start in all but the last.

Run:     python -m experiments toy_saes
Takes:   about 3 minutes on two cores
Expect:  at penalty 0.2 about one dictionary in ten is full without resampling, nearly all
         with it or with a tied start; at penalty 0.05 none
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.phenomena import full_dictionaries, toy_dictionaries
from synthetic import SparseFeatures, firing, magnitude, random
from synthetic.directions import unit_rows
from toymodels.sae import Params, ReLU, base, revival
from toymodels.scores import geometry, intervals, reconstruction, streaming
from toymodels.training import ensemble, loop, unrolled

CLOSE = 0.97
BLOCK = 8  # dictionaries side by side on a core


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


class Condition(NamedTuple):
    """Attributes:
    name: as the figures say it.
    penalty: weight of the L1 term.
    until: step of the last round of resampling; 0 for none.
    start: `(key, n_latents, d_model) -> Params`.
    """

    name: str
    penalty: float
    until: int
    start: Callable[[Key[Array, ""], int, int], Params]


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_score = jax.random.split(random.key(seed))
    world, found = polygon(settings), conditions(settings)
    dictionaries = members(found, settings)
    with job.stage("dictionaries"):
        state, history = fit_all(key_fit, found, dictionaries, world, settings, job)
    with job.stage("scores"):
        scores, silent = score(key_score, dictionaries, state.params, world, settings)
    grid = (len(found), settings.n_seeds)
    full = history.metrics["full"].reshape(-1, *grid)
    low, high = intervals.wilson(full.sum(axis=-1), settings.n_seeds)
    metrics: dict[str, Any] = {
        "conditions": [condition.name for condition in found],
        "full": full[-1].mean(axis=-1).tolist(),
        "full_interval": np.stack([low[-1], high[-1]], axis=-1).tolist(),
        "true_l0": settings.n_features * settings.density,
    }
    for name, values in scores.items():
        metrics[name] = values.reshape(grid).mean(axis=-1).tolist()
    arrays = {
        "directions": np.asarray(world.directions),
        "W_dec": np.asarray(state.params.W_dec).reshape(*grid, settings.n_latents, 2),
        "silent": silent.reshape(*grid, settings.n_latents),
        "full": full[-1],
        "step": history.step,
        "share": full.mean(axis=-1),
        "share_low": low,
        "share_high": high,
    }
    checks = make_checks(settings, metrics)
    return Result(metrics, arrays, checks, table(settings, metrics))


def polygon(settings: Settings) -> SparseFeatures:
    """A regular polygon; features are uniform on [0, norm] along its unit directions."""
    angle = 2 * jnp.pi * jnp.arange(settings.n_features) / settings.n_features
    rows = unit_rows(jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1))
    rate = firing.Independent(firing.constant(settings.n_features, settings.density))
    return SparseFeatures(rows, rate, magnitude.Uniform(0.0, settings.norm))


def conditions(settings: Settings) -> list[Condition]:
    """Every penalty without and with resampling; the first once more, started tied."""
    until = settings.steps - settings.every  # one period is left to settle
    found = []
    for penalty in settings.penalties:
        name = f"penalty {penalty:g}"
        found += [
            Condition(f"{name}, no resampling", penalty, 0, started_apart),
            Condition(f"{name}, with resampling", penalty, until, started_apart),
        ]
    first = settings.penalties[0]
    tied = Condition(f"penalty {first:g}, tied start", first, 0, base.init_tied)
    return [*found, tied]


def started_apart(key: Key[Array, ""], n_latents: int, d_model: int) -> Params:
    """Encoder and decoder independent, uniform within +-sqrt(6 / (n_latents d_model))."""
    scale = (6 / (n_latents * d_model)) ** 0.5
    both = jax.random.uniform(key, (2, n_latents, d_model), minval=-scale, maxval=scale)
    return Params(both[0].T, jnp.zeros(n_latents), unit_rows(both[1]), jnp.zeros(d_model))


def members(found: list[Condition], settings: Settings) -> ReLU:
    """The dictionaries [condition * seed] as one pytree."""
    silence = settings.window * settings.batch_size
    stacked = []
    for condition in found:
        rule = revival.RandomRestart(
            settings.every, condition.until, silence, settings.scale
        )
        one = ReLU(settings.n_latents, sparsity=2 * condition.penalty, revive=rule)
        stacked += settings.n_seeds * [one]
    return ensemble.stack(stacked)


def fit_all(
    key: Key[Array, ""],
    found: list[Condition],
    dictionaries: ReLU,
    world: SparseFeatures,
    settings: Settings,
    job: Job,
):
    """Fits every dictionary, all in one program."""
    key_init, key_data = (
        jax.random.split(part, settings.n_seeds) for part in jax.random.split(key)
    )
    optimizer = optax.adam(settings.learning_rate)

    def start(key, condition):
        params = condition.start(key, settings.n_latents, world.d_model)
        return loop.start(params, optimizer, revival.all_alive(settings.n_latents))

    starts = [
        jax.vmap(partial(start, condition=condition))(jax.random.clone(key_init))
        for condition in found
    ]

    def advance(key, dictionary, state, n):
        return loop.advance(
            key,
            state,
            n,
            loss=dictionary.loss,
            sample=partial(positions, world, settings.batch_size),
            optimizer=optimizer,
            after=dictionary.after,
        )

    def measure(state: loop.State) -> dict[str, Array]:
        dead = state.memory > settings.window * settings.batch_size // 10
        return {"full": is_full(state.params.W_dec, world.directions, dead)}

    n_members = len(found) * settings.n_seeds
    keys = key_data[jnp.arange(n_members) % settings.n_seeds]
    together = ensemble.over_members(advance, n_members, shared=1, block=BLOCK)
    return loop.run(
        jax.jit(lambda states, n: together(keys, dictionaries, states, n)),
        jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *starts),
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


def score(key, dictionaries: ReLU, params: Params, world, settings: Settings):
    """Each score as an array [member], and which latents never fire [member, latent]."""

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    found = streaming.member_statistics(
        codes, (dictionaries, params), world, key, settings.n_samples
    )
    cosines = [geometry.cosines(rows, world.directions) for rows in params.W_dec]
    scores = {
        "feature_max_cosine": [geometry.feature_max_cosine(c) for c in cosines],
        "latent_max_cosine": [geometry.latent_max_cosine(c) for c in cosines],
        "l0": [reconstruction.l0(s) for s in found],
        "dead": [reconstruction.dead(s) for s in found],
        "explained_variance": [reconstruction.explained_variance(s) for s in found],
    }
    silent = np.array([statistics.z_on == 0 for statistics in found])
    return {name: np.array(values) for name, values in scores.items()}, silent


EXPECTED = (  # what 64 dictionaries of an independent run gave, and a band around it
    ("penalty 0.2, no resampling", "full", 0.11, None, 0.3),
    ("penalty 0.2, with resampling", "full", 0.94, 0.8, None),
    ("penalty 0.05, no resampling", "full", 0.0, None, 0.05),
    ("penalty 0.2, no resampling", "feature_max_cosine", 0.902, 0.87, 0.93),
    ("penalty 0.2, with resampling", "feature_max_cosine", 0.995, 0.985, 1.0),
    ("penalty 0.05, no resampling", "feature_max_cosine", 0.909, 0.88, 0.94),
    ("penalty 0.2, no resampling", "l0", 0.121, 0.111, 0.131),
    ("penalty 0.2, with resampling", "l0", 0.113, 0.103, 0.123),
    ("penalty 0.05, no resampling", "l0", 0.189, 0.16, 0.22),
)


def make_checks(settings: Settings, metrics: dict[str, Any]) -> list[Check]:
    """What resampling must gain, and at full length the numbers of an independent run."""
    without, with_rounds = metrics["full"][:2]
    exercise = "ARENA 1.5.4: most dictionaries are full with resampling, few without"
    name = "full dictionaries that resampling gains"
    checks = [Check.at_least(name, with_rounds - without, 0.3, exercise)]
    if settings.steps < Settings.steps:
        return checks
    place = {name: i for i, name in enumerate(metrics["conditions"])}
    return checks + [
        Check(
            f"{condition}: {quantity}",
            metrics[quantity][place[condition]],
            low,
            high,
            f"{value:g} in an independent run of 64 dictionaries",
        )
        for condition, quantity, value, low, high in EXPECTED
        if condition in place
    ]


def table(settings: Settings, metrics: dict[str, Any]) -> list[str]:
    """One line per condition."""
    lines = [
        f"{'':<30}{'full':>5}{'95 % interval':>15}{'mmcs':>7}{'L0':>7}{'dead':>6}"
        f"{'missed':>8}"
    ]
    for i, name in enumerate(metrics["conditions"]):
        low, high = metrics["full_interval"][i]
        dead = settings.n_latents * metrics["dead"][i]
        missed = 1 - metrics["explained_variance"][i]
        lines.append(
            f"{name:<30}{metrics['full'][i]:>5.0%}{low:>8.0%} to {high:>3.0%}"
            f"{metrics['feature_max_cosine'][i]:>7.3f}{metrics['l0'][i]:>7.3f}"
            f"{dead:>6.2f}{missed:>8.3f}"
        )
    return [
        *lines,
        f"the true L0 is {metrics['true_l0']:.3f}; mmcs: mean over features of the largest",
        "cosine of a latent; dead: latents per dictionary; missed: share of the variance",
    ]


EXPERIMENT = Experiment(
    name="toy_saes",
    question="How often do five latents find a pentagon's five features?",
    source="ARENA 1.5.4, sparse autoencoders in toy models; after Bricken et al. 2023",
    minutes=3,
    settings=Settings(),
    quick=Settings(penalties=(0.2,), n_seeds=16, steps=15_000, n_samples=1 << 14),
    run=run,
    figures=(toy_dictionaries, full_dictionaries),
    expect="Without resampling most dictionaries at penalty 0.2 leave one or two latents "
    "dead and put others between two features; with it, or when the encoder starts as the "
    "decoder's transpose, nearly all lie on the pentagon. At penalty 0.05 none does. The "
    "course shows the same for sixteen dictionaries; it has no tied start.",
)
