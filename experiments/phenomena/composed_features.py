"""Does a dictionary find features that always come in pairs, or the pairs?

Anders et al. 2024 ("Sparse autoencoders find composed features in small toy models"): four
features in two hidden dimensions, +x and -x, +y and -y, as a toy model stores two pairs of
which exactly one member each is on. Dictionaries of four latents learn the diagonals, the
compositions, for every penalty; with one-hot samples in three quarters of the data they
still often do.

No method could tell from composed samples alone what is true: with equal values the data
lie on the two diagonals, and four features along them, one present at a time, give the very
same samples. With independent values on [0, 1] the data fill a square, and a sparse code
along its diagonals is cheaper too. So this is no failure of the optimiser; the data must
show features alone.

How often they must do so is known. Codes of four latents reconstruct every point of the
plane only when the rows are two opposite pairs; then the penalty decides. Along the
features a sample costs the sum of its values, along the diagonals sqrt(2) times the larger
one. With a share s of one-hot samples the truth is cheaper above 2 - sqrt(2) = 0.586 for
equal values and above 0.216 for independent ones (`threshold`). But both are minima: the
truth at any share, the diagonals at any for equal values and up to 4/7 for independent
ones. Between them lies an angle from which the penalty pulls to either side (`divide`), so
of dictionaries that start at random angles a known part ends composed.

Rows start as two opposite pairs at an angle spread evenly over the seeds, and a little
noise. (From four independent rows about a fifth of the dictionaries ends as neither, with
two latents side by side.)

Differences: the source trains the toy model first; here its directions are exact. The
sizes, starts and rates of its dictionaries are not known to us.

Run:     python -m experiments composed_features
Takes:   about 2 minutes on one of two cores, the other at work
Expect:  compositions and never the truth without one-hot samples, the reverse with nothing
         else; between them the predicted share, a third composed at 75 % one-hot samples
         of equal values
"""

from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import PROBABILITY
from figures.phenomena import composed_features as figure
from synthetic import SparseFeatures, directions, random
from synthetic.directions import unit_rows
from synthetic.firing import Draw, samples_of_features
from toymodels.sae import Params, ReLU
from toymodels.sae.many import fit_members
from toymodels.scores import geometry
from toymodels.training import ensemble

CLOSE = 0.97
LAWS = ("equal values", "independent values")
FINE = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Settings:
    """Attributes:
    one_hot: shares of samples in which one feature is on alone.
    penalties: weights of the L1 term.
    n_seeds: dictionaries of each.
    noise: deviation of each coordinate of the start.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in the last third.
    """

    one_hot: Annotated[tuple[float, ...], PROBABILITY] = (
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.75,
        0.8,
        0.9,
        1.0,
    )
    penalties: tuple[float, ...] = (0.05, 0.2)
    n_seeds: int = 16
    noise: float = 0.1
    steps: int = 4_000
    batch_size: int = 256
    learning_rate: float = 3e-3


@struct.dataclass
class OneFromEach:
    """One of features 0 and 1 is on, and one of 2 and 3; in a share of samples only one.

    Attributes:
        one_hot: the share of samples with one feature alone.
        equal: 1 gives both features of a sample the same level, 0 levels of their own.
    """

    one_hot: ArrayLike
    equal: ArrayLike

    @property
    def n_features(self) -> int:
        return 4

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        first, second, alone, which, x, y = samples_of_features(key, batch_size, 6).T
        keeps_x = (alone >= self.one_hot) | (which < 0.5)
        keeps_y = (alone >= self.one_hot) | (which >= 0.5)
        on = (first < 0.5, first >= 0.5, second < 0.5, second >= 0.5)
        keeps = (keeps_x, keeps_x, keeps_y, keeps_y)
        y = jnp.where(jnp.asarray(self.equal) > 0, x, y)
        fires = [a & b for a, b in zip(on, keeps, strict=True)]
        return Draw(jnp.stack(fires, axis=1), jnp.stack([x, x, y, y], axis=1))


def run(settings: Settings, seed: int, job: Job) -> Result:
    with job.stage("dictionaries"):
        rows = fit_grid(random.key(seed), settings, job)
    rows = rows.reshape(
        len(LAWS),
        len(settings.penalties),
        len(settings.one_hot),
        settings.n_seeds,
        *rows.shape[-2:],
    )
    true, composed = found(rows, features()), found(rows, diagonals())
    arrays = {
        "one_hot": np.array(settings.one_hot),
        "W_dec": rows,
        "true": true,
        "composed": composed,
        "fine": FINE,
        "predicted": np.stack([predicted(law, FINE) for law in LAWS]),
    }
    metrics: dict[str, Any] = {
        "laws": list(LAWS),
        "penalties": list(settings.penalties),
        "true": true.mean(axis=-1).tolist(),
        "composed": composed.mean(axis=-1).tolist(),
        "threshold": [threshold(*costs(law)) for law in LAWS],
    }
    return Result(metrics, arrays, make_checks(arrays), table(settings, metrics))


def features() -> Float[np.ndarray, "4 2"]:
    """+x, -x, +y, -y."""
    return np.asarray(directions.antipodal_pairs(2), float)


def diagonals() -> Float[np.ndarray, "4 2"]:
    """The four sums of one of each pair, at length 1."""
    true = features()
    sums = [true[i] + true[j] for i, j in product((0, 1), (2, 3))]
    return np.array(sums) / np.sqrt(2)


def fit_grid(
    key: Key[Array, ""], settings: Settings, job: Job
) -> Float[np.ndarray, "member latent 2"]:
    """The rows of every law, penalty, share and seed; a seed has one start and one key."""
    key_start, key_data = jax.random.split(key)
    keys = jax.random.split(key_data, settings.n_seeds)
    starts = start_rows(key_start, settings)
    grid = list(product((1.0, 0.0), settings.penalties, settings.one_hot))
    true = directions.antipodal_pairs(2)
    dictionaries, worlds = ensemble.stack(
        [
            (
                ReLU(4, sparsity=penalty, revive=None),
                SparseFeatures(true, OneFromEach(one_hot, equal)),
            )
            for equal, penalty, one_hot in grid
            for _ in range(settings.n_seeds)
        ]
    )
    seed = jnp.tile(jnp.arange(settings.n_seeds), len(grid))
    W_dec = starts[seed]
    params = Params(
        jnp.swapaxes(W_dec, 1, 2),
        jnp.zeros(W_dec.shape[:2]),
        W_dec,
        jnp.zeros((len(seed), 2)),
    )
    params, _ = fit_members(
        keys[seed],
        dictionaries,
        worlds,
        params,
        settings.steps,
        settings.batch_size,
        settings.learning_rate,
        block=16,
        chunk=max(1, settings.steps // 10),
        progress=job.progress("dictionaries", settings.steps),
        checkpoints=job.checkpoints("dictionaries"),
    )
    return np.asarray(params.W_dec)


def start_rows(key: Key[Array, ""], settings: Settings) -> Float[Array, "seed 4 2"]:
    """Two opposite pairs; seed i is turned by an angle in its own part of 90 degrees."""
    key_angle, key_noise = jax.random.split(key)
    n = settings.n_seeds
    part = jnp.arange(n) + jax.random.uniform(key_angle, (n,))
    turn = part / n * jnp.pi / 2
    rotation = jnp.stack(
        [
            jnp.stack([jnp.cos(turn), jnp.sin(turn)]),
            jnp.stack([-jnp.sin(turn), jnp.cos(turn)]),
        ]
    )
    rows = jnp.einsum("li,ijs->slj", directions.antipodal_pairs(2), rotation)
    return unit_rows(rows + settings.noise * jax.random.normal(key_noise, rows.shape))


def found(
    rows: Float[np.ndarray, "*member latent 2"], wanted: Float[np.ndarray, "4 2"]
) -> np.ndarray:
    """Whether every wanted direction has a latent of cosine above 0.97."""
    cosine = geometry.unit_rows(rows) @ wanted.T
    return (cosine.max(axis=-2) > CLOSE).all(axis=-1)


def costs(law: str) -> tuple[float, float, float, float]:
    """Mean penalties over the weight: A2, D2, A1, D1, for values on [0, 1].

    A along the features, D along the diagonals, of composed (2) and one-hot (1) samples.
    The larger of two independent values is 2/3 on average, that of equal ones 1/2.
    """
    larger = 1 / 2 if law == LAWS[0] else 2 / 3
    return 1.0, 2**0.5 * larger, 0.5, 2**0.5 / 2


def threshold(A2: float, D2: float, A1: float, D1: float) -> float:
    """The share of one-hot samples above which the truth costs less."""
    return (A2 - D2) / (A2 - D2 + D1 - A1)


def divide(law: str, share: np.ndarray) -> Float[np.ndarray, " share"]:
    """The angle in degrees between the two minima, where the mean cost is greatest.

    Turned by t from the features, 0 <= t <= 45 degrees, composed samples cost cos t for
    equal values and cos t + sin^2 t / (3 cos t) for independent ones, one-hot samples
    (cos t + sin t) / 2. With the share s the derivative vanishes at tan t = s / (2 - s),
    and at tan t (1 + tan t) = 3 s / (2 (1 - s)). At 45 degrees the diagonals are no
    minimum any more.
    """
    if law == LAWS[0]:
        tangent = share / (2 - share)
    else:
        ratio = 3 * share / (2 * np.maximum(1 - share, 1e-12))
        tangent = (np.sqrt(1 + 4 * ratio) - 1) / 2
    return np.rad2deg(np.arctan(np.minimum(tangent, 1)))


def predicted(law: str, share: np.ndarray) -> Float[np.ndarray, " share"]:
    """The part of all angles from which the penalty pulls to the diagonals."""
    return 1 - divide(law, share) / 45


def make_checks(arrays: dict[str, np.ndarray]) -> list[Check]:
    """Both ends, the published share, who wins below the threshold, and the prediction."""
    post = "Anders et al. 2024"
    unseen = "from composed samples alone the truth cannot be told"
    x = arrays["one_hot"]
    true, composed = (arrays[name].mean(axis=-1) for name in ("true", "composed"))
    checks = [
        Check.within(
            "none one-hot: share composed", composed[..., x == 0].min(), 0.9, 1, post
        ),
        Check.within("none one-hot: share true", true[..., x == 0].max(), 0, 0, unseen),
        Check.within(
            "all one-hot: share true", true[..., x == 1].min(), 0.9, 1, "one at a time"
        ),
        Check.within(
            "all one-hot: share composed",
            composed[..., x == 1].max(),
            0,
            0,
            "no sample is composed",
        ),
    ]
    checks += [
        Check.at_least(
            "three quarters one-hot, equal values: share composed",
            composed[0][:, at].mean(),
            0.2,
            f"{post}: composed features largely persist",
        )
        for at in np.flatnonzero(x == 0.75)
    ]
    for law, name in enumerate(LAWS):
        dearer = x < threshold(*costs(name))
        checks.append(
            Check.at_most(
                f"{name}: largest lead of the truth where it costs more",
                (true - composed)[law][:, dearer].max(),
                0,
                "closed form: the truth costs less above "
                f"{threshold(*costs(name)):.3f} only",
            )
        )
        off = composed[law].mean(axis=0) - predicted(name, x)
        checks.append(
            Check.within(
                f"{name}: distance from the predicted share composed, root mean square",
                float(np.sqrt(np.square(off).mean())),
                0,
                0.1,
                "closed form: the angles from which the penalty pulls to the diagonals",
            )
        )
    return checks


def table(settings: Settings, metrics: dict[str, Any]) -> list[str]:
    """Shares of composed and true dictionaries over the share of one-hot samples."""
    lines = []
    for law, name in enumerate(metrics["laws"]):
        lines.append(f"{name}: the truth is cheaper above {metrics['threshold'][law]:.3f}")
        lines.append(
            f"{'one-hot samples':<24}" + "".join(f"{s:>6.2f}" for s in settings.one_hot)
        )
        for i, penalty in enumerate(metrics["penalties"]):
            for kind in ("composed", "true"):
                values = "".join(f"{v:>6.2f}" for v in metrics[kind][law][i])
                lines.append(f"penalty {penalty:<6g} {kind:<9}" + values)
        values = "".join(f"{v:>6.2f}" for v in predicted(name, np.array(settings.one_hot)))
        lines.append(f"{'predicted composed':<24}" + values)
    return lines


EXPERIMENT = Experiment(
    name="composed_features",
    question="Does a dictionary find features that always come in pairs, or the pairs?",
    source="Anders et al. 2024, composed features in small toy models",
    minutes=2,
    settings=Settings(),
    quick=Settings(
        one_hot=(0.0, 0.2, 0.4, 0.6, 0.75, 1.0), penalties=(0.2,), n_seeds=8, steps=3_000
    ),
    run=run,
    figures=(figure,),
    expect="Above, latents lie on the diagonals while samples are composed and on the axes "
    "when they are one-hot. Below, the share of composed dictionaries falls along the "
    "predicted line; at three quarters one-hot samples of equal values a third is left.",
)
