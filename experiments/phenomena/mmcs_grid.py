"""Where in the plane of penalty and dictionary size does sparse coding find the truth?

The grid of "Taking features out of superposition with sparse autoencoders" (Sharkey, Braun
& Millidge 2022), set up as in its public replication (HoagyC/sparse_coding, 2023): random
unit features, twice as many as dimensions, feature i present in proportion to 0.99^i,
magnitudes uniform on [0, 1]; ReLU dictionaries with an L1 penalty and no resampling, from a
quarter of the true number of features to many times it. Each cell says how well the
dictionary covers the truth (MMCS: the mean over features of the largest cosine of a
latent), how many latents are dead, how much of the data it misses, and how well it agrees
with the next larger dictionary, which needs no truth.

The published grid has 512 features in 256 dimensions, 5 of them present on average, batches
of 4,096 at a rate of 1e-3, and dictionaries up to 32 times the truth. The default has an
eighth of the features, of the dimensions and of the features present, so that dimensions
are as crowded as there; over 64 features 0.99^i falls by half only. The published penalty
is divided by the size of the dictionary (a mistake, as the first author later wrote) and
its squared error by the number of dimensions; here neither is, so that `ReLU.sparsity` is
the published penalty * dimensions / latents. Encoder and decoder start apart, as there;
our decoder has a bias, which theirs lacks.

Run:     python -m experiments mmcs_grid
Full:    python -m experiments mmcs_grid --set n_features=512 --set d_model=256
         --set mean_l0=5.0 --set batch_size=4096 --set largest=32 --set steps=20000
         --set learning_rate=1e-3 (for an accelerator: about 8 PFLOP per penalty)
Takes:   about a minute on one of two cores, the other at work
Expect:  MMCS above 0.9 for penalties from 0.05 to 0.3 when the dictionary is as large as
         the truth (0.97 at best) or larger (1.00), chance above penalty 1; dead latents
         appear beyond the true size
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import POSITIVE, Within
from figures.phenomena import mmcs_grid as grid_figure
from synthetic import SparseFeatures, directions, firing, random
from toymodels.sae import Params, ReLU, training
from toymodels.scores import geometry, reconstruction, streaming
from toymodels.training import ensemble, loop


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_features, d_model: of the world.
    mean_l0: features present in a sample, on average.
    decay: probability of a feature over that of the one before.
    lowest, highest: penalties run from 10^lowest to 10^highest.
    n_penalties: how many of them.
    smallest, largest: dictionary sizes over n_features, powers of two.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in the last third.
    n_samples: on which the scores rest.
    """

    n_features: int = 64
    d_model: int = 32
    mean_l0: float = 0.625
    decay: float = 0.99
    lowest: Annotated[float, Within()] = -2.0
    highest: Annotated[float, Within()] = 0.5
    n_penalties: int = 8
    smallest: Annotated[float, POSITIVE] = 0.25
    largest: Annotated[float, POSITIVE] = 4.0
    steps: int = 3_000
    batch_size: int = 256
    learning_rate: float = 3e-3
    n_samples: int = 1 << 14


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_world, key_fit, key_score, key_floor = jax.random.split(random.key(seed), 4)
    world = make_world(key_world, settings)
    penalties = np.logspace(settings.lowest, settings.highest, settings.n_penalties)
    sizes = dictionary_sizes(settings)
    with job.stage("dictionaries"):
        params = fit_grid(key_fit, world, penalties, sizes, settings, job)
    with job.stage("scores"):
        cells = score_grid(key_score, world, penalties, params, settings)
    true = np.asarray(world.directions)
    floor = [
        geometry.feature_max_cosine(
            geometry.cosines(directions.random(key, n, settings.d_model), true)
        )
        for key, n in zip(jax.random.split(key_floor, len(sizes)), sizes, strict=True)
    ]
    metrics: dict[str, Any] = {
        "sizes": sizes,
        "n_features": settings.n_features,
        "floor": floor,
        **{name: values.tolist() for name, values in cells.items()},
    }
    arrays = {"penalty": penalties, "size": np.array(sizes), **cells}
    checks = make_checks(settings, penalties, np.array(sizes), cells, np.array(floor))
    return Result(metrics, arrays, checks, table(penalties, sizes, cells, floor))


def make_world(key: Key, settings: Settings) -> SparseFeatures:
    """Random features whose probabilities fall geometrically."""
    profile = settings.decay ** jnp.arange(settings.n_features)
    probability = settings.mean_l0 * profile / profile.sum()
    rows = directions.random(key, settings.n_features, settings.d_model)
    return SparseFeatures(rows, firing.Independent(probability))


def dictionary_sizes(settings: Settings) -> list[int]:
    """Every doubling from the smallest to the largest."""
    count = round(np.log2(settings.largest / settings.smallest)) + 1
    return [round(settings.n_features * settings.smallest * 2**i) for i in range(count)]


def dictionaries(n_latents: int, penalties: np.ndarray) -> ReLU:
    """One per penalty, stacked."""
    return ensemble.stack([ReLU(n_latents, sparsity=s, revive=None) for s in penalties])


def fit_grid(key, world, penalties, sizes, settings: Settings, job: Job):
    """The weights of every size, stacked over penalties; all see the same data."""
    key_init, key_data = jax.random.split(key)
    optimizer = training.adam(settings.learning_rate, settings.steps)
    params = []
    for n_latents, key_size in zip(
        sizes, jax.random.split(key_init, len(sizes)), strict=True
    ):
        stacked = dictionaries(n_latents, penalties)

        def start(dictionary, key=key_size):
            weights = apart(jax.random.clone(key), dictionary.n_latents, world.d_model)
            return loop.start(weights, optimizer, dictionary.memory(weights))

        def advance(state, dictionary, n):
            return training.advance(
                jax.random.clone(key_data),
                dictionary,
                state,
                n,
                world=world,
                optimizer=optimizer,
                batch_size=settings.batch_size,
            )

        together = ensemble.over_members(advance, len(penalties), shared=1)
        state, _ = loop.run(
            jax.jit(lambda s, n, together=together, d=stacked: together(s, d, n)),
            jax.vmap(start)(stacked),
            settings.steps,
            chunk=max(1, settings.steps // 10),
            progress=job.progress(f"{n_latents} latents", settings.steps),
            checkpoints=job.checkpoints(f"latents_{n_latents}"),
        )
        params.append(state.params)
    return params


def apart(key: Key, n_latents: int, d_model: int) -> Params:
    """Encoder and its bias as PyTorch's linear layers start, the decoder random rows."""
    key_W, key_b, key_rows = jax.random.split(key, 3)
    scale = d_model**-0.5
    return Params(
        scale * jax.random.uniform(key_W, (d_model, n_latents), minval=-1.0),
        scale * jax.random.uniform(key_b, (n_latents,), minval=-1.0),
        directions.random(key_rows, n_latents, d_model),
        jnp.zeros(d_model),
    )


def score_grid(key, world, penalties, params, settings: Settings) -> dict[str, np.ndarray]:
    """Every score as an array [size, penalty], on the same samples."""

    def codes(member, batch):
        dictionary, params = member
        z = dictionary.encode(params, batch.x)
        return z, dictionary.decode(params, z)

    cells: dict[str, list] = {name: [] for name in ("mmcs", "latents", "dead", "missed")}
    for weights in params:
        n_latents = weights.W_dec.shape[1]
        found = streaming.member_statistics(
            codes,
            (dictionaries(n_latents, penalties), weights),
            world,
            jax.random.clone(key),
            settings.n_samples,
        )
        cosines = [geometry.cosines(W_dec, world.directions) for W_dec in weights.W_dec]
        cells["mmcs"].append([geometry.feature_max_cosine(c) for c in cosines])
        cells["latents"].append([geometry.latent_max_cosine(c) for c in cosines])
        cells["dead"].append([n_latents * reconstruction.dead(s) for s in found])
        cells["missed"].append([1 - reconstruction.explained_variance(s) for s in found])
    larger = [
        [
            geometry.latent_max_cosine(geometry.cosines(*pair))
            for pair in zip(a, b, strict=True)
        ]
        for a, b in zip(
            [w.W_dec for w in params[:-1]], [w.W_dec for w in params[1:]], strict=True
        )
    ]
    return {name: np.array(rows) for name, rows in cells.items()} | {
        "larger": np.array(larger)
    }


def make_checks(
    settings: Settings,
    penalties: np.ndarray,
    sizes: np.ndarray,
    cells: dict[str, np.ndarray],
    floor: np.ndarray,
) -> list[Check]:
    """What the plane must show around the row of the true size."""
    mmcs, true = cells["mmcs"], settings.n_features
    row = int(np.abs(sizes - true).argmin())
    best = int(mmcs[row].argmax())
    post = "Sharkey et al. 2022: in a band of penalties the truth is recovered"
    chance = "the same score of random directions"
    larger, share = sizes > true, cells["dead"] / sizes[:, None]
    least = jump = ratio = None  # without a larger size there is nothing to measure
    if larger.any():
        least = float(mmcs[larger].max(axis=1).min())
        jump = float((share[larger, best] - share[row, best]).min())
        ratio = float(penalties[cells["larger"][row].argmax()] / penalties[best])
    return [
        Check.at_least("MMCS at the true size, best penalty", mmcs[row, best], 0.9, post),
        Check.at_least(
            "MMCS with more latents than features, best penalty: the least",
            least,
            0.9,
            post,
        ),
        Check.at_least(
            "MMCS with a quarter of the latents, below the best",
            float(mmcs[row, best] - mmcs[0].max()),
            0.2,
            "a dictionary cannot cover more features than it has latents",
        ),
        Check.at_least(
            "MMCS at the lowest penalty, below the best",
            float(mmcs[row, best] - mmcs[row, 0]),
            0.1,
            post,
        ),
        Check.at_most(
            "MMCS at the highest penalty, above chance",
            float(mmcs[row, -1] - floor[row]),
            0.1,
            chance,
        ),
        Check.at_least(
            "share of latents dead, least of the larger sizes over the true size",
            jump,
            0.1,
            "Sharkey et al. 2022: dead latents jump where they outnumber the features",
        ),
        Check.within(
            "penalty where sizes agree most, over the best",
            ratio,
            0.5,
            2.0,
            "Sharkey et al. 2022: agreement between sizes peaks where MMCS does",
        ),
    ]


def band(penalties: np.ndarray, mmcs: np.ndarray, enough: float = 0.9) -> list[float]:
    """The lowest and the highest penalty whose MMCS is enough; empty when none is."""
    inside = penalties[mmcs >= enough]
    return [float(inside.min()), float(inside.max())] if len(inside) else []


def table(penalties, sizes, cells, floor) -> list[str]:
    """One line per size."""
    lines = [
        f"{'latents':>8}{'best mmcs':>11}{'at penalty':>12}{'chance':>8}{'dead there':>12}"
        f"{'missed':>8}  band of mmcs above 0.9"
    ]
    for i, n in enumerate(sizes):
        best = int(cells["mmcs"][i].argmax())
        inside = band(penalties, cells["mmcs"][i])
        lines.append(
            f"{n:>8}{cells['mmcs'][i, best]:>11.3f}{penalties[best]:>12.3f}{floor[i]:>8.3f}"
            f"{cells['dead'][i, best]:>12.0f}{cells['missed'][i, best]:>8.3f}  "
            + (f"{inside[0]:.3g} to {inside[1]:.3g}" if inside else "none")
        )
    return lines


EXPERIMENT = Experiment(
    name="mmcs_grid",
    question="Where in the plane of penalty and dictionary size is the truth found?",
    source="Sharkey et al. 2022, as replicated in HoagyC/sparse_coding, 2023",
    minutes=1,
    settings=Settings(),
    quick=Settings(n_penalties=4, largest=2.0, n_samples=4_096),
    run=run,
    figures=(grid_figure,),
    expect="The MMCS map has a bright band at middle penalties that begins where there are "
    "as many latents as features and goes on upwards; agreement with the next larger "
    "dictionary is brightest in the same place; dead latents appear above the true size "
    "and at high penalties. The published maps show the same.",
)
