"""Do sparse autoencoders find the features that a toy model holds in superposition?

A bottleneck model with a ReLU output (Elhage et al. 2022) learns to hold more features
than it has hidden dimensions. Its hidden activations are the data, its rows W_i the true
directions. ReLU+L1 and TopK dictionaries are fitted to them, and TopK with a frozen
random decoder as a control, at several penalties and seeds, all in one compiled program.

Run:     python -m experiments sae_recovery
Takes:   about a minute on two cores, compile time included
Expect:  mcc_dec above 0.97 for TopK near the true L0 and for ReLU+L1; the control at the
         floor of random directions (about 0.45)
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.recovery import cosine_matrix, recovery_frontier, training_curves
from synthetic import SparseFeatures, firing, random
from toymodels import superposition
from toymodels.sae import FrozenDecoder, ReLU, TopK, training
from toymodels.sae.revival import Resample
from toymodels.scores import controls, geometry, streaming, summary
from toymodels.superposition.activations import Hidden
from toymodels.training import ensemble, loop


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, n_hidden: of the toy model.
    mean_l0: features present in a sample, on average.
    n_latents: of every dictionary.
    sparsities: L1 penalties of the ReLU dictionaries.
    ks: active latents of the TopK dictionaries and of the control.
    n_seeds: dictionaries per penalty.
    model_steps, steps: of training, the toy model's and the dictionaries'.
    batch_size: samples in each of these steps.
    n_samples: on which the scores rest.
    """

    n_features: int = 64
    n_hidden: int = 24
    mean_l0: float = 2.5
    n_latents: int = 64
    sparsities: tuple = (0.08, 0.16, 0.24, 0.4)
    ks: tuple = (2, 3, 4, 8)
    n_seeds: int = 4
    model_steps: int = 4_000
    steps: int = 3_000
    batch_size: int = 512
    n_samples: int = 65_536


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_model, key_fit, key_score, key_floor = jax.random.split(random.key(seed), 4)
    variants = members(settings)
    density = settings.mean_l0 / settings.n_features
    probability = firing.constant(settings.n_features, density)
    world = SparseFeatures(jnp.eye(settings.n_features), firing.Independent(probability))
    with job.stage("toy model"):
        model, model_history = train_model(key_model, world, settings, job)
    hidden = Hidden(world, model)
    with job.stage("dictionaries"):
        states, history = fit_all(key_fit, variants, hidden, settings, job)
    with job.stage("scores"):
        scores = {
            name: score_members(key_score, variants[name], states[name], hidden, settings)
            for name in variants
        }
        floor, ceiling = floor_and_ceiling(key_floor, hidden, settings)
    return summarise(
        settings, hidden, model_history, history, states, scores, floor, ceiling
    )


def train_model(key: Key[Array, ""], world: SparseFeatures, settings: Settings, job: Job):
    """The toy model's weights and its training history."""
    key_init, key_data = jax.random.split(key)
    model = superposition.Bottleneck(settings.n_features, settings.n_hidden)
    optimizer = training.adam(3e-3, settings.model_steps)
    advance = partial(
        loop.advance,
        loss=model.loss,
        sample=lambda key: world.sample(key, 2 * settings.batch_size).features,
        optimizer=optimizer,
    )
    state, history = loop.run(
        jax.jit(lambda state, n: advance(key_data, state, n)),
        loop.start(model.init(key_init), optimizer),
        settings.model_steps,
        chunk=max(1, settings.model_steps // 40),
        progress=job.progress("toy model", settings.model_steps),
        checkpoints=job.checkpoints("model"),
    )
    return state.params, history


def members(settings: Settings) -> dict[str, PyTree]:
    """Each variant as one stacked pytree of [penalty * seed] dictionaries."""
    n, seeds = settings.n_latents, range(settings.n_seeds)
    top = ensemble.stack([TopK(n, k=k) for k in settings.ks for _ in seeds])
    revive = Resample(until=2 * settings.steps // 3)
    relu = ensemble.stack(
        [ReLU(n, sparsity=w, revive=revive) for w in settings.sparsities for _ in seeds]
    )
    return {"TopK": top, "ReLU+L1": relu, "frozen decoder": FrozenDecoder(top)}


def fit_all(
    key: Key[Array, ""],
    variants: dict[str, PyTree],
    world: Hidden,
    settings: Settings,
    job: Job,
):
    """Fits every member of every variant; one program, the same data for all."""
    key_init, key_data = jax.random.split(key)
    optimizer = training.adam(3e-3, settings.steps)

    def start(key, dictionary):
        return training.start(key, dictionary, world.d_model, optimizer)

    def advance(state, dictionary, n):
        return training.advance(
            key_data,
            dictionary,
            state,
            n,
            world=world,
            optimizer=optimizer,
            batch_size=settings.batch_size,
        )

    seeds = jax.random.split(key_init, settings.n_seeds)
    states = {}
    for name, stacked in variants.items():
        count = len(jax.tree.leaves(stacked)[0])
        states[name] = jax.vmap(start)(seeds[jnp.arange(count) % settings.n_seeds], stacked)

    @jax.jit
    def advance_all(states, n):
        moved = {
            name: ensemble.over_members(advance, len(states[name].step), shared=1)(
                states[name], variants[name], n
            )
            for name in variants
        }
        return {k: v[0] for k, v in moved.items()}, {k: v[1] for k, v in moved.items()}

    return loop.run(
        advance_all,
        states,
        settings.steps,
        chunk=max(1, settings.steps // 30),
        progress=job.progress(
            "dictionaries", settings.steps, ("TopK/loss", "ReLU+L1/loss")
        ),
        checkpoints=job.checkpoints("dictionaries"),
    )


def score_members(
    key: Key[Array, ""],
    stacked: PyTree,
    state: loop.State,
    world: Hidden,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Every score as an array [penalty, seed], on the same samples for every variant."""

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    found = streaming.member_statistics(
        codes, (stacked, state.params), world, jax.random.clone(key), settings.n_samples
    )
    rows = [
        summary.scores(statistics, W_dec, world.directions)
        for statistics, W_dec in zip(found, np.asarray(state.params.W_dec), strict=True)
    ]
    shape = (-1, settings.n_seeds)
    return {name: np.array([row[name] for row in rows]).reshape(shape) for name in rows[0]}


def floor_and_ceiling(key: Key[Array, ""], world: Hidden, settings: Settings):
    """Scores of random directions at the true L0, and of the truth."""
    key_samples, key_random, key_chance, key_example = jax.random.split(key, 4)
    example = world.sample(key_example, 4_096)
    random_directions = controls.random_at_l0(
        key_random, example.x, settings.n_latents, settings.mean_l0
    )

    def found(control, W_dec):
        statistics = streaming.member_statistics(
            lambda member, batch: member.codes(batch),
            ensemble.stack([control]),
            world,
            jax.random.clone(key_samples),
            settings.n_samples,
        )
        return summary.scores(statistics[0], W_dec, world.directions)

    floor = found(random_directions, random_directions.W_dec)
    floor["mcc_dec"] = geometry.chance_mcc_dec(
        key_chance, world.directions, settings.n_latents
    )
    return floor, found(controls.oracle(world, example), world.directions)


def summarise(
    settings: Settings,
    world: Hidden,
    model_history: loop.History,
    history: loop.History,
    states: dict[str, loop.State],
    scores: dict[str, dict[str, np.ndarray]],
    floor: dict[str, float],
    ceiling: dict[str, float],
) -> Result:
    """The plain numbers and arrays of the record, its checks and its table."""
    dimensionality = superposition.dimensionality(world.params.W)
    chosen = {name: choose(score["mcc_dec"]) for name, score in scores.items()}
    metrics = {
        "variants": list(scores),
        "shown": {
            name: {key: float(value[chosen[name]]) for key, value in score.items()}
            for name, score in scores.items()
        },
        "floor": floor,
        "ceiling": ceiling,
        "sum_of_dimensionality": float(dimensionality.sum()),
        "represented_features": int(
            (superposition.feature_norms(world.params.W) > 0.5).sum()
        ),
    }
    variance = total_variance(settings, world)
    arrays = {
        "directions": np.asarray(world.directions),
        "model/W": np.asarray(world.params.W),
        "model/step": model_history.step,
        "model/loss": model_history.metrics["loss"],
        "curve/step": history.step,
    }
    for name, score in scores.items():
        arrays |= {f"score/{name}/{key}": value for key, value in score.items()}
        penalty, seed = chosen[name]
        member = penalty * settings.n_seeds + seed
        cosine = geometry.cosines(states[name].params.W_dec[member], world.directions)
        arrays[f"cosine/{name}"] = geometry.in_matched_order(cosine)
        error = history.metrics[f"{name}/squared_error"].reshape(
            len(history.step), -1, settings.n_seeds
        )
        arrays[f"curve/{name}"] = error[:, penalty] / variance
    return Result(
        metrics, arrays, checks(settings, metrics, scores), table(scores, metrics)
    )


def choose(mcc_dec: np.ndarray) -> tuple[int, int]:
    """The penalty with the best median over seeds, and its median seed (the lower one)."""
    penalty = int(np.argmax(np.median(mcc_dec, axis=1)))
    order = np.argsort(mcc_dec[penalty])
    return penalty, int(order[(len(order) - 1) // 2])


def total_variance(settings: Settings, world: Hidden) -> float:
    """Of x, in closed form: sum_i Var(f_i) ||W_i||^2.

    For values uniform on [0, 1] with probability p, E f = p / 2 and E f^2 = p / 3.
    """
    p = settings.mean_l0 / settings.n_features
    norms = np.asarray(superposition.feature_norms(world.params.W))
    return float((p / 3 - p**2 / 4) * np.sum(norms**2))


def checks(settings: Settings, metrics: dict, scores: dict) -> list[Check]:
    """What this run must show."""
    best = {
        name: np.median(score["mcc_dec"], axis=1).max() for name, score in scores.items()
    }
    codes = {
        name: np.median(score["mcc_act"], axis=1).max() for name, score in scores.items()
    }
    lead = np.min([codes["TopK"], codes["ReLU+L1"]]) - codes["frozen decoder"]
    m = settings.n_hidden
    spread = 5 * np.sqrt(settings.mean_l0 / settings.n_samples)
    true_l0 = metrics["ceiling"]["true_l0"]
    return [
        Check(
            "toy model: sum of D_i",
            metrics["sum_of_dimensionality"],
            0.97 * m,
            1.001 * m,
            "at most n_hidden, equal for tight frames",
        ),
        Check("TopK: best median mcc_dec", best["TopK"], 0.97, None, "stated goal"),
        Check("ReLU+L1: best median mcc_dec", best["ReLU+L1"], 0.97, None, "stated goal"),
        Check.at_least(
            "learned: best median mcc_act above the frozen decoder's, least",
            lead,
            0.2,
            "stated goal: learned rows read better than rows that never learn",
        ),
        Check(
            "mean true L0",
            true_l0,
            settings.mean_l0 - spread,
            settings.mean_l0 + spread,
            "n p, five standard errors",
        ),
    ]


def table(scores: dict, metrics: dict) -> list[str]:
    """Medians over seeds, one line per penalty, between floor and ceiling."""
    shown = ("l0", "mcc_dec", "mcc_act", "feature_f1", "explained_variance", "dead")
    lines = [f"{'median over seeds':<20}" + "".join(f"{name:>20}" for name in shown)]
    for name, score in scores.items():
        medians = np.stack([np.median(score[key], axis=1) for key in shown], axis=1)
        lines += [f"{name:<20}" + "".join(f"{v:>20.3f}" for v in row) for row in medians]
    for name in ("floor", "ceiling"):
        row = [metrics[name][key] for key in shown]
        lines.append(f"{name:<20}" + "".join(f"{v:>20.3f}" for v in row))
    return lines


EXPERIMENT = Experiment(
    name="sae_recovery",
    question="Do sparse autoencoders find the features a toy model holds in superposition?",
    source="Elhage et al. 2022; Gao et al. 2024 (TopK); Bricken et al. 2023 (ReLU+L1)",
    minutes=1,
    settings=Settings(),
    quick=Settings(model_steps=1_500, steps=2_000, n_seeds=2, n_samples=16_384),
    run=run,
    figures=(cosine_matrix, recovery_frontier, training_curves),
)
