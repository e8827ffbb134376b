"""What the true directions reach when the codes have to be found from x.

The true codes (`controls.oracle`) are beyond any encoder where features interfere. Between
them and a trained dictionary lie the best codes on the true support, and what two
optimisers without any training make of the true directions. Beside them stands what a
supervised probe reads from x.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.base import Batch, KnownDirections
from toymodels.scores.controls import oracle
from toymodels.scores.probing import Probes, fit_logistic
from toymodels.sparse_coding.fista import fista
from toymodels.sparse_coding.least_squares import on_support
from toymodels.sparse_coding.omp import omp

_PENALTIES = 8  # tried, each half of the one before
_ROOM = 4  # features of a sample beyond the most seen, and in whose steps `most` goes
_PROBED = 1 << 18  # features * d_model^2 up to which a probe is fitted
_LOOK = 512  # samples on which the penalty is chosen


@struct.dataclass
class LeastSquares:
    """Least squares on the features that are present: the support is known, not the values.

    Attributes:
        directions, bias: the truth.
        most: features of one sample used at most; static.
    """

    directions: Array
    bias: Array
    most: int = struct.field(pytree_node=False)

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        support = batch.features != 0
        z = on_support(batch.x - self.bias, self.directions, support, self.most)
        return z, z @ self.directions + self.bias


@struct.dataclass
class Omp:
    """Orthogonal matching pursuit on the true directions, as many as are present.

    Attributes:
        directions, bias: the truth.
        most: features of one sample used at most; static.
        nonnegative: whether the world's values are; static.
    """

    directions: Array
    bias: Array
    most: int = struct.field(pytree_node=False)
    nonnegative: bool = struct.field(pytree_node=False, default=True)

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        atoms, length = _unit(self.directions)
        count = (batch.features != 0).sum(-1)
        x = batch.x - self.bias
        z = omp(x, atoms, count, self.most, self.nonnegative) / length
        return z, z @ self.directions + self.bias


@struct.dataclass
class Fista:
    """The lasso on the true directions, with the shrinkage that comes with it.

    Attributes:
        directions, bias: the truth.
        penalty: of the l1 norm.
        nonnegative: whether the world's values are; static.
    """

    directions: Array
    bias: Array
    penalty: ArrayLike
    nonnegative: bool = struct.field(pytree_node=False, default=True)

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        atoms, length = _unit(self.directions)
        x = batch.x - self.bias
        z = fista(x, atoms, self.penalty, nonnegative=self.nonnegative) / length
        return z, z @ self.directions + self.bias


@struct.dataclass
class LogisticProbe:
    """A probe on x for each feature: what a linear reader that was told the truth finds.

    A feature that it calls present gets the feature's mean size, so that all scores of
    presence apply; those of amplitude mean nothing here.

    Attributes:
        directions, bias: the truth.
        probes: one logistic regression per feature.
        size: [feature], mean |value| where present.
    """

    directions: Array
    bias: Array
    probes: Probes
    size: Array

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        z = jnp.where(self.probes.logits(batch.x) > 0, self.size, 0)
        return z, z @ self.directions + self.bias


def logistic_probe(world: KnownDirections, example: Batch) -> LogisticProbe:
    """The probe fitted on calibration samples."""
    truth, present = oracle(world, example), example.features != 0
    size = jnp.abs(example.features).sum(0) / jnp.maximum(present.sum(0), 1)
    probes = _fit_logistic(example.x, present)
    return LogisticProbe(truth.directions, truth.bias, probes, size)


_fit_logistic = jax.jit(fit_logistic)


def of_world(
    world: KnownDirections, example: Batch
) -> dict[str, LeastSquares | Omp | Fista | LogisticProbe]:
    """The ceilings below the true codes, set up on calibration samples.

    FISTA's penalty is the one, of eight, whose L0 comes nearest to the true one. The probe
    is left out where features * d_model^2 exceeds 2^18: it would take longer than all else.
    """
    truth = oracle(world, example)
    nonnegative = bool((example.features >= 0).all())
    seen = int((np.asarray(example.features) != 0).sum(-1).max())
    most = min(_ROOM * (seen // _ROOM + 2), world.n_features, world.d_model)
    found = {
        "least squares": LeastSquares(truth.directions, truth.bias, most),
        "FISTA": _at_true_l0(
            Fista(truth.directions, truth.bias, 0.0, nonnegative), example
        ),
        "OMP": Omp(truth.directions, truth.bias, most, nonnegative),
    }
    if _is_probed(world):
        found["logistic probe"] = logistic_probe(world, example)
    return found


def number(world: KnownDirections) -> int:
    """How many ceilings `of_world` sets up."""
    return 3 + _is_probed(world)


def _is_probed(world: KnownDirections) -> bool:
    return world.n_features * world.d_model**2 <= _PROBED


def _at_true_l0(ceiling: Fista, example: Batch) -> Fista:
    few = Batch(example.x[:_LOOK], example.features[:_LOOK])
    present = np.asarray(few.features) != 0
    size = np.abs(few.features) * np.linalg.norm(ceiling.directions, axis=1)
    scale = size.sum() / max(present.sum(), 1)
    penalties = np.asarray(scale * 0.5 ** np.arange(1, 1 + _PENALTIES), np.float32)

    on = [int(_count_on(replace(ceiling, penalty=p), few)) for p in penalties]
    best = np.abs(np.array(on) - int(present.sum())).argmin()
    return replace(ceiling, penalty=penalties[best])


_count_on = jax.jit(lambda ceiling, few: jnp.count_nonzero(ceiling.codes(few)[0]))


def _unit(rows: Float[Array, "row d_model"]):
    length = jnp.linalg.norm(rows, axis=1)
    length = jnp.where(length > 0, length, 1)
    return rows / length[:, None], length
