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
plane only when the rows are two opposite pairs; then the penalty decides, and it has two
minima, along the features and along the diagonals. Per sample the features cost the sum of
the values, the diagonals sqrt(2) times the larger one. With a share s of one-hot samples
the truth is cheaper above s = (A2 - D2) / (A2 - D2 + D1 - A1), A and D being the mean costs
along features and diagonals, of composed (2) and one-hot (1) samples: 2 - sqrt(2) = 0.586
for equal values, 0.216 for independent ones. But the diagonals stay a minimum for longer:
at any share for equal values, whose cost has a kink there, up to 4/7 for independent ones
(`held_until`). So training ends where its start leads, and compositions persist well beyond
the share at which they cost more. About a fifth of the dictionaries find neither: two
latents share a direction.

Differences: the source trains the toy model first; here its directions are exact. The
sizes and rates of its dictionaries are not known to us.

Run:     python -m experiments composed_features
Takes:   about 1 minute on two cores
Expect:  compositions and never the truth without one-hot samples, the reverse with nothing
         else; half of the dictionaries composed at 75 % one-hot samples of equal values
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from experiments.experiment import Experiment, Job, Result
from experiments.records import Check
from figures import composed_features as figure
from synthetic import SparseFeatures, directions, random
from synthetic.firing import Draw, samples_of_features
from toymodels import ensemble
from toymodels.sae import ReLU
from toymodels.sae.many import fit_many
from toymodels.scores import geometry, shares

CLOSE = 0.97
LAWS = ("equal values", "independent values")


@dataclass(frozen=True)
class Settings:
    """Attributes:
    one_hot: shares of samples in which one feature is on alone.
    penalties: weights of the L1 term.
    n_seeds: dictionaries of each.
    steps, batch_size, learning_rate: of Adam, its rate falling to 0 in the last third.
    """

    one_hot: tuple[float, ...] = (
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
    low, high = zip(
        *(shares.wilson(hit.sum(axis=-1), settings.n_seeds) for hit in (true, composed)),
        strict=True,
    )
    arrays = {
        "one_hot": np.array(settings.one_hot),
        "W_dec": rows,
        "true": true,
        "composed": composed,
        "share_low": np.stack(low),
        "share_high": np.stack(high),
    }
    metrics: dict[str, Any] = {
        "laws": list(LAWS),
        "penalties": list(settings.penalties),
        "true": true.mean(axis=-1).tolist(),
        "composed": composed.mean(axis=-1).tolist(),
        "threshold": [threshold(*costs(law)) for law in LAWS],
        "held_until": [held_until(law) for law in LAWS],
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
    key_init, key_data = (
        jax.random.split(part, settings.n_seeds) for part in jax.random.split(key)
    )
    true = directions.antipodal_pairs(2)
    starts = jax.vmap(lambda key: ReLU(4).init(key, 2))(key_init)
    grid = list(product((1.0, 0.0), settings.penalties, settings.one_hot))
    members = [
        (
            ReLU(4, sparsity=penalty, revive=None),
            SparseFeatures(true, OneFromEach(one_hot, equal)),
            jax.tree.map(lambda leaf: leaf[seed], starts),  # noqa: B023
        )
        for equal, penalty, one_hot in grid
        for seed in range(settings.n_seeds)
    ]
    dictionaries, worlds, params = ensemble.stack(members)
    params, _ = fit_many(
        key_data[jnp.arange(len(members)) % settings.n_seeds],
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


def held_until(law: str) -> float:
    """The share of one-hot samples up to which the diagonals are a minimum.

    Turned by t from the features, 0 <= t <= 45 degrees, independent values cost cos t +
    sin^2 t / (3 cos t) on average, one-hot ones (cos t + sin t) / 2. At 45 degrees the
    first has curvature 2 sqrt(2) / 3, the second -1 / sqrt(2): equal in size at a share of
    4/7. Equal values cost 2 cos t / 2 and have a kink there.
    """
    return 1.0 if law == LAWS[0] else 4 / 7


def make_checks(arrays: dict[str, np.ndarray]) -> list[Check]:
    """Both ends, the published share, and who wins on either side of the threshold."""
    post = "Anders et al. 2024"
    unseen = "from composed samples alone the truth cannot be told"
    x = arrays["one_hot"]
    true, composed = (arrays[name].mean(axis=-1) for name in ("true", "composed"))
    checks = [
        Check("none one-hot: share composed", composed[..., x == 0].min(), 0.6, 1, post),
        Check("none one-hot: share true", true[..., x == 0].max(), 0, 0, unseen),
        Check(
            "all one-hot: share true", true[..., x == 1].min(), 0.6, 1, "orthogonal rows"
        ),
        Check(
            "all one-hot: share composed",
            composed[..., x == 1].max(),
            0,
            0,
            "no sample is composed",
        ),
    ]
    checks += [
        Check(
            "three quarters one-hot, equal values: share composed",
            composed[0][:, at].mean(),
            0.2,
            None,
            f"{post}: composed features largely persist",
        )
        for at in np.flatnonzero(x == 0.75)
    ]
    for law, name in enumerate(LAWS):
        dearer = x < threshold(*costs(name))
        checks.append(
            Check(
                f"{name}: largest lead of the truth where it costs more",
                (true - composed)[law][:, dearer].max(),
                None,
                0,
                "closed form: the truth costs less above "
                f"{threshold(*costs(name)):.3f} only",
            )
        )
        gone = x > held_until(name) + 0.1
        if gone.any():
            checks.append(
                Check(
                    f"{name}: share composed where the diagonals are no minimum",
                    composed[law][:, gone].max(),
                    0,
                    0,
                    f"closed form: a minimum up to {held_until(name):.3f}",
                )
            )
    return checks


def table(settings: Settings, metrics: dict[str, Any]) -> list[str]:
    """Shares of composed and true dictionaries over the share of one-hot samples."""
    lines = []
    for law, name in enumerate(metrics["laws"]):
        lines.append(
            f"{name}: the truth is cheaper above {metrics['threshold'][law]:.3f}, the "
            f"diagonals are a minimum up to {metrics['held_until'][law]:.3f}"
        )
        lines.append(
            f"{'one-hot samples':<24}" + "".join(f"{s:>6.2f}" for s in settings.one_hot)
        )
        for i, penalty in enumerate(metrics["penalties"]):
            for kind in ("composed", "true"):
                values = "".join(f"{v:>6.2f}" for v in metrics[kind][law][i])
                lines.append(f"penalty {penalty:<6g} {kind:<9}" + values)
    return lines


EXPERIMENT = Experiment(
    name="composed_features",
    question="Does a dictionary find features that always come in pairs, or the pairs?",
    source="Anders et al. 2024, composed features in small toy models",
    minutes=1,
    settings=Settings(),
    quick=Settings(
        one_hot=(0.0, 0.2, 0.4, 0.6, 0.75, 1.0), penalties=(0.2,), n_seeds=8, steps=3_000
    ),
    run=run,
    figures=(figure,),
    expect="Above, latents lie on the diagonals while samples are composed and on the axes "
    "when they are one-hot; a few dictionaries have two latents side by side. Below, the "
    "share of composed dictionaries falls only beyond the share of one-hot samples at "
    "which the axes become the cheaper code, and is nothing beyond the one at which the "
    "diagonals are no minimum any more.",
)
