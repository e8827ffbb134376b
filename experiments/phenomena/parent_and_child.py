"""A parent, a child and what ReLU latents make of them at best: exact, in float64.

Two features of value 1 along orthonormal rows. There are four kinds of samples, so the
expected loss of a dictionary is a sum over four points of the plane, each with its best
codes; the decoder's rows and bias are then found by descent from several starts. Affine
encoders of one and of two latents reach these codes. The penalty is
penalty * sum of z ||row||, for which rows of length 1 lose no generality.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import optimize

from synthetic import SparseFeatures, magnitude
from synthetic.directions import unit_rows
from synthetic.firing.family import Family
from toymodels.sae import Params

PARENT = 0.25
SAMPLES = np.array([[0.0, 0.0], [1, 0], [0, 1], [1, 1]])  # parent and child, off and on
NOTHING, CHILD_ALONE = 0, 2
SAME = 0.01


def make_world(
    rows: Float[Array, "2 d_model"], given: float, otherwise: float, spread: float = 0.0
) -> SparseFeatures:
    """P(child | parent), P(child | no parent), and the deviation of the values about 1."""
    law = Family(jnp.float32(PARENT), jnp.array([given]), jnp.array([otherwise]))
    return SparseFeatures(rows, law, magnitude.RectifiedNormal(1.0, spread))


def near(key: Key[Array, ""], rows: Float[Array, "latent d_model"], noise: float) -> Params:
    """A tied start of unit rows, normal noise away from `rows`."""
    W_dec = unit_rows(rows + noise * jax.random.normal(key, rows.shape))
    return Params(W_dec.T, jnp.zeros(len(rows)), W_dec, jnp.zeros(rows.shape[1]))


class Case(NamedTuple):
    """What decides the loss.

    Attributes:
        given, otherwise: P(child | parent), P(child | no parent).
        penalty: weight of the L1 term.
        has_bias: whether there are biases; else they are 0.
    """

    given: float
    otherwise: float
    penalty: float
    has_bias: bool = True

    @property
    def probability(self) -> Float[np.ndarray, "4"]:
        """Of the four kinds of samples."""
        off, on = 1 - PARENT, PARENT
        alone, both = off * self.otherwise, on * self.given
        return np.array([off - alone, on - both, alone, both])


class Optimum(NamedTuple):
    """Where a loss is least.

    Attributes:
        rows: [latent, 2], cosines with parent and child.
        bias: b_dec along both.
        loss: squared error and penalty.
    """

    rows: Float[np.ndarray, "latent 2"]
    bias: Float[np.ndarray, "2"]
    loss: float


def least_cost(
    x: Float[np.ndarray, "sample 2"], rows: Float[np.ndarray, "latent 2"], penalty: float
) -> Float[np.ndarray, " sample"]:
    """min over z >= 0 of ||x - z rows||^2 + penalty sum z, by every set of active latents.

    The best codes with a set active are least squares with the penalty's pull; where they
    are not negative they are a candidate.
    """
    best = np.square(x).sum(axis=1)
    for size in range(1, len(rows) + 1):
        for active in combinations(range(len(rows)), size):
            W = rows[list(active)]
            gram = W @ W.T
            if np.linalg.det(gram) < 1e-9:
                continue
            z = np.linalg.solve(gram, (x @ W.T - penalty / 2).T).T
            cost = np.square(x - z @ W).sum(axis=1) + penalty * z.sum(axis=1)
            best = np.where((z >= 0).all(axis=1), np.minimum(best, cost), best)
    return best


def exact_loss(
    rows: Float[np.ndarray, "latent 2"],
    bias: Float[np.ndarray, "2"],
    case: Case,
    silent: Sequence[int] = (),
) -> float:
    """The expected loss with the best codes, those of the `silent` samples being 0."""
    x = SAMPLES - bias
    cost = least_cost(x, rows, case.penalty)
    cost[list(silent)] = np.square(x[list(silent)]).sum(axis=1)
    return float(case.probability @ cost)


def one_latent(case: Case, silent: Sequence[int] = ()) -> Optimum:
    """The least loss of one latent near the parent."""

    def parts(point):
        row = np.array([[np.cos(point[0]), np.sin(point[0])]])
        return row, point[1:] if case.has_bias else np.zeros(2)

    biases = ([0, 0], [0, 0.2], [0.3, -0.1]) if case.has_bias else ([],)
    found = [
        optimize.minimize(
            lambda point: exact_loss(*parts(point), case, silent),
            [angle, *bias],
            method="BFGS",
            options={"gtol": 1e-9},
        )
        for angle, bias in product((-0.6, -0.2, 0.2, 0.6), biases)
    ]
    best = min(found, key=lambda result: result.fun)
    return Optimum(*parts(best.x), float(best.fun))


def states(case: Case) -> list[Optimum]:
    """The minimum of one latent, and worse states where it is off in a kind of samples.

    A latent that is off when the child is alone, or when nothing fires, gets no gradient
    from these samples. Such states are listed where they differ from the minimum.
    """
    found = [one_latent(case)]
    for silent in ([CHILD_ALONE], [NOTHING]):
        held = one_latent(case, silent) if case.has_bias else found[0]
        if np.abs(held.rows - found[0].rows).max() > SAME:
            found.append(held)
    return found


def by_eigenvector(q: np.ndarray, has_bias: bool) -> Float[np.ndarray, "q 2"]:
    """The row of one latent in a hierarchy as the penalty vanishes, in closed form.

    Without biases the top eigenvector of the second moments [[1, q], [q, q]], q being
    P(child | parent); with them of the covariance, [[1 - p, q (1 - p)], [q (1 - p), q (1 -
    p q)]]. Both are times p = P(parent).
    """
    p = PARENT if has_bias else 0.0
    angle = 0.5 * np.arctan2(2 * q * (1 - p), (1 - p) - q * (1 - p * q))
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def two_latents(case: Case) -> Optimum:
    """The least loss of a latent near the parent and one between child and both.

    By Nelder and Mead's method: codes that become zero put kinks into the gradient.
    """

    def parts(point):
        a, b = point[:2]
        return np.array([[np.cos(a), np.sin(a)], [np.sin(b), np.cos(b)]]), point[2:]

    found = [
        optimize.minimize(
            lambda point: exact_loss(*parts(point), case),
            [0.0, angle, 0.0, 0.0],
            method="Nelder-Mead",
            options={"xatol": 1e-6, "fatol": 1e-13, "maxiter": 4_000, "maxfev": 4_000},
        )
        for angle in (0.01, 0.3, np.pi / 4)
    ]
    best = min(found, key=lambda result: result.fun)
    return Optimum(*parts(best.x), float(best.fun))
