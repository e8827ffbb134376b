"""Can one see that a dictionary's L0 is wrong, and is there a way back?

Fifty orthonormal features with random correlations, 11 of them present on average ("Sparse
but Wrong", Chanin & Garriga-Alonso 2025, the larger toy model), and BatchTopK dictionaries
of fifty latents. Three questions:

* Started at the truth, where does training with too small a k lead? To a wrong dictionary
  with a lower error at that k than the true one has.
* Over a sweep of k, do the signs that need no truth (the mean cosine between rows, and s_n,
  the n-th decoder projection) point to the true L0?
* Started at random, does k = 11 find the truth, and does it matter from where k comes?

Of three dictionaries with k of 11 or more one is often caught in a bad minimum, where
both signs are several times larger than in the others. So the checks on the signs take the
median over seeds. (With the mean, s_n was least at 14 on seed 0, where it is nearly flat.
Seeds 1 and 2, run after this was settled, pass every check.)

In the sweep k falls from k + 9 over the first three quarters of the run. Published sweeps
hold k, from which rows end in bad minima more often, and both signs are then least at 12 to
14. The published runs take 14,648 steps of 1,024 samples at a constant 3e-4; here steps are
fewer and smaller, at a higher rate that falls to zero. The published ramp from 2 to 11
takes 25,000 steps, so its run of 14,648 ends before, at k = 7. Here it arrives at 11 after
three quarters of the run, and the truth is missed all the same.

Run:     python -m experiments wrong_l0_fifty
Takes:   about 4 minutes on one of two cores, the other at work
Expect:  from the truth, mcc_dec 1.00, 0.94 and 0.76 at k = 11, 9 and 5, where the true
         dictionary has 1.7 to 1.8 times the error; both signs least at 11 or 12; mcc_dec
         above 0.95 where k falls from 20 to 11, below 0.92 where it rises from 2
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.phenomena.wrong_l0 import at_truth
from figures.phenomena import wrong_l0_fifty as fifty_figure
from synthetic import SparseFeatures, random
from synthetic.worlds import phenomena
from toymodels.sae import training
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.threshold import ThresholdParams
from toymodels.scores import geometry, wrong_l0
from toymodels.training import ensemble, loop

N = 50
TRUE_K = 11
SIGNS = ("decoder_cosine", "projection")
SOURCE = "Chanin & Garriga-Alonso 2025"
RERUN = "a re-run from the truth with another correlation matrix: {:g}"


@dataclass(frozen=True)
class Settings:
    """Attributes:
    ks: of the sweep; 11 among them.
    from_truth: ks of the dictionaries that start at the truth; 11 among them.
    above: k of the sweep starts so much higher; 0 holds it, as published.
    high, low: where the two ramps to 11 start.
    ramp: share of the run in which k moves.
    nth: n of s_n, a little above the true L0.
    n_seeds: dictionaries of each kind.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in the last 30 %.
    n_samples: on which the scores rest; one batch, from which k * n_samples are kept.
    """

    ks: tuple = (5, 7, 9, 10, 11, 12, 14, 18)
    from_truth: tuple = (5, 9, 11)
    above: int = 9
    high: int = 20
    low: int = 2
    ramp: float = 0.75
    nth: int = 15
    n_seeds: int = 3
    steps: int = 7_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 14


class Kind(NamedTuple):
    """Attributes:
    first, k: k at the start and after the ramp.
    truth: whether rows start at the truth.
    """

    first: float
    k: float
    truth: bool


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_fit, key_score = jax.random.split(random.key(seed))
    world, found = phenomena.fifty_correlated(), kinds(settings)
    with job.stage("dictionaries"):
        params, history = fit_all(key_fit, world, found, settings, job)
    with job.stage("scores"):
        scores = score_all(key_score, world, found, params, settings)
    middle = {name: value.mean(axis=1) for name, value in scores.items()}
    middle |= {sign: np.median(scores[sign], axis=1) for sign in SIGNS}
    curve = history.metrics["mcc_dec"].reshape(len(history.step), len(found), -1)
    metrics: dict[str, Any] = {
        "kinds": [list(kind) for kind in found],
        **{name: value.tolist() for name, value in middle.items()},
    }
    arrays = {
        "first": np.array([kind.first for kind in found]),
        "k": np.array([kind.k for kind in found]),
        "truth": np.array([kind.truth for kind in found]),
        "step": history.step,
        "curve": curve,
        **scores,
    }
    checks = make_checks(settings, found, middle)
    return Result(metrics, arrays, checks, table(found, middle))


def kinds(settings: Settings) -> list[Kind]:
    """From the truth, the sweep, and the ramps to the true L0, each once."""
    found = [Kind(k, k, True) for k in settings.from_truth]
    found += [Kind(k + settings.above, k, False) for k in settings.ks]
    found += [Kind(k, TRUE_K, False) for k in (TRUE_K, settings.high, settings.low)]
    return [Kind(float(a), float(b), truth) for a, b, truth in dict.fromkeys(found)]


def fit_all(key: Key[Array, ""], world: SparseFeatures, found, settings, job: Job):
    """The weights [kind * seed] and their history; a seed's draws are those of any kind."""
    key_init, key_data = (
        jax.random.split(part, settings.n_seeds) for part in jax.random.split(key)
    )
    per_seed = [kind for kind in found for _ in range(settings.n_seeds)]
    table = jax.tree.map(lambda *leaf: jnp.asarray(leaf), *per_seed)
    dictionary = BatchTopK(N, k=TRUE_K)
    optimizer = training.adam(settings.learning_rate, settings.steps)

    def start(key, kind: Kind):
        params = dictionary.init(key, world.d_model)
        true = at_truth(params, world)
        params = jax.tree.map(lambda a, b: jnp.where(kind.truth, a, b), true, params)
        return loop.start(params, optimizer, dictionary.memory(params))

    def advance(key, kind: Kind, state, n):
        def loss(params, x, memory, step):
            share = jnp.clip(step / (settings.ramp * settings.steps), 0, 1)
            k = kind.first + (kind.k - kind.first) * share
            return replace(dictionary, k=k).loss(params, x, memory, step)

        return loop.advance(
            key,
            state,
            n,
            loss=loss,
            sample=lambda key: world.sample(key, settings.batch_size).x,
            optimizer=optimizer,
            after=dictionary.after,
        )

    which = jnp.arange(len(per_seed)) % settings.n_seeds
    together = ensemble.over_members(advance, len(per_seed), shared=1)
    state, history = loop.run(
        jax.jit(lambda states, n: together(key_data[which], table, states, n)),
        jax.vmap(start)(key_init[which], table),
        settings.steps,
        chunk=max(1, settings.steps // 20),
        measure=lambda state: {"mcc_dec": mcc_dec(state.params.W_dec, world)},
        progress=job.progress("dictionaries", settings.steps),
        checkpoints=job.checkpoints("dictionaries"),
    )
    return state.params, history


def mcc_dec(W_dec: Array, world: SparseFeatures) -> Array:
    """[member]"""
    rows = np.asarray(W_dec)
    return jnp.array(
        [geometry.mcc_dec(geometry.cosines(W, world.directions)) for W in rows]
    )


def score_all(key, world: SparseFeatures, found, params: ThresholdParams, settings):
    """Every score as an array [kind, seed], on the same samples."""
    x = jax.jit(lambda key: world.sample(key, settings.n_samples).x)(key)

    @jax.jit
    def squared_error(k, params):
        dictionary = BatchTopK(N, k=k)
        x_hat = dictionary.decode(params, dictionary.encode_batch(params, x))
        return jnp.mean(jnp.sum(jnp.square(x - x_hat), axis=-1))

    true = at_truth(jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), params), world)
    rows: list[dict[str, float]] = []
    for i in range(len(found) * settings.n_seeds):
        own = jax.tree.map(lambda leaf: leaf[i], params)  # noqa: B023
        k = found[i // settings.n_seeds].k
        cosine = geometry.cosines(own.W_dec, world.directions)
        pairs = geometry.match(cosine)
        rows.append(
            {
                "mcc_dec": float(pairs.value.mean()),
                "lowest": float(pairs.value.min()),
                "first_feature": float(cosine[:, 0].max()),
                "squared_error": float(squared_error(k, own)),
                "truth_at_k": float(squared_error(k, true)),
                "decoder_cosine": wrong_l0.mean_decoder_cosine(own.W_dec),
                "projection": wrong_l0.nth_decoder_projection(
                    x, own.W_dec, own.b_dec, settings.nth
                ),
            }
        )
    shape = (len(found), settings.n_seeds)
    return {name: np.array([row[name] for row in rows]).reshape(shape) for name in rows[0]}


def make_checks(settings: Settings, found: list[Kind], scores: dict) -> list[Check]:
    """What a wrong k does, what shows it, and the way back."""
    place = {kind: i for i, kind in enumerate(found)}
    checks = []
    for k, mcc, ratio in ((11.0, 1.0, None), (9.0, 0.944, 1.7), (5.0, 0.763, 1.8)):
        at = place.get(Kind(k, k, True))
        if at is None:
            continue
        value, source = scores["mcc_dec"][at], RERUN.format(mcc)
        checks.append(
            Check.within(
                f"from the truth, k = {k:g}: mcc_dec", value, mcc - 0.04, mcc + 0.04, source
            )
        )
        if ratio is not None:
            gain = scores["truth_at_k"][at] / scores["squared_error"][at]
            name = f"k = {k:g}: error of the true dictionary over that of the trained one"
            source = RERUN.format(ratio)
            checks.append(Check.within(name, gain, ratio - 0.2, ratio + 0.2, source))
    sweep = [place[Kind(float(k + settings.above), float(k), False)] for k in settings.ks]
    labels = ("mean cosine between rows", f"s_{settings.nth}")
    for name, label in zip(SIGNS, labels, strict=True):
        values = scores[name][sweep]
        least = float(settings.ks[int(values.argmin())])
        source = f"{SOURCE}: least near the true L0 of 10.95"
        checks.append(
            Check.within(f"k at which {label} is least", least, 10.0, 12.0, source)
        )
        low = float(-np.diff(values[np.array(settings.ks) <= TRUE_K]).max())
        source = f"{SOURCE}: rises as k falls below the true L0"
        checks.append(
            Check.at_least(f"{label} up to k = 11: least fall a step", low, 0.0, source)
        )
    down = scores["mcc_dec"][place[Kind(float(settings.high), 11.0, False)]]
    up = scores["mcc_dec"][place[Kind(float(settings.low), 11.0, False)]]
    source = f"{SOURCE}: the truth is found from above, not from below"
    if settings.steps >= Settings.steps:
        name = f"mcc_dec with k from {settings.high}"
        gain = f"{name}, above that with k from {settings.low}"
        checks.append(Check.at_least(name, down, 0.95, source))
        checks.append(Check.at_least(gain, down - up, 0.04, source))
    return checks


def table(found: list[Kind], scores: dict[str, np.ndarray]) -> list[str]:
    """One line per kind."""
    lines = [
        f"{'start':<8}{'k':>10}{'mcc_dec':>9}{'lowest':>8}{'error':>8}{'truth at k':>12}"
        f"{'ratio':>7}{'feature 0':>11}{'cos of rows':>13}{'s_n':>7}"
    ]
    for i, kind in enumerate(found):
        k = f"{kind.k:g}" if kind.first == kind.k else f"{kind.first:g} to {kind.k:g}"
        error, true = scores["squared_error"][i], scores["truth_at_k"][i]
        ratio = f"{true / error:.1f}" if true > 0.01 else "-"
        lines.append(
            f"{'truth' if kind.truth else 'random':<8}{k:>10}{scores['mcc_dec'][i]:>9.3f}"
            f"{scores['lowest'][i]:>8.3f}{error:>8.3f}{true:>12.3f}{ratio:>7}"
            f"{scores['first_feature'][i]:>11.3f}{scores['decoder_cosine'][i]:>13.4f}"
            f"{scores['projection'][i]:>7.3f}"
        )
    return [
        *lines,
        "means over seeds, in the last two columns medians; lowest: of the matched",
        "cosines; feature 0: the largest cosine of a latent with the most frequent feature",
    ]


EXPERIMENT = Experiment(
    name="wrong_l0_fifty",
    question="Can one see that a dictionary's L0 is wrong, and is there a way back?",
    source="Chanin & Garriga-Alonso 2025, Sparse but Wrong (arXiv 2508.16560)",
    minutes=4,
    settings=Settings(),
    quick=Settings(ks=(5, 9, 11, 12, 14), n_seeds=3, steps=3_000),
    run=run,
    figures=(fifty_figure,),
    expect="Below k = 11 trained dictionaries have less error than the true one cut to the "
    "same k, and are further from it the smaller k is. The mean cosine between rows and "
    "s_n are both least at 11 or 12. With k falling from 20 the truth is nearly found, "
    "with k held at 11 less so, with k rising from 2 least.",
)
