"""What makes up for a forest's thinning where features share sources (`LowRank`).

Given the shared sources s, features fire independently with probabilities p(s; b) (see
`correlation.LowRank`), so a forest thins them as `compensation.marginals` says, and

    P(feature i fires) = E_s[marginals(p(s; b), forest)_i].

The mean over s ~ N(0, I) is taken over scrambled Sobol points and their mirror images,
always the same ones, in float64 on the host.
"""

import numpy as np
from jaxtyping import ArrayLike, Float
from scipy import special
from scipy.stats import qmc

from synthetic.firing.correlation import LowRank
from synthetic.hierarchy import compensation
from synthetic.hierarchy.compensation import Probability
from synthetic.hierarchy.forest import Forest
from synthetic.validation import require_range, require_width

_BLOCK = 256
_ROUNDS = 500
_TOLERANCE = 1e-6


def marginals(law: LowRank, forest: Forest, n_points: int = 8_192) -> Probability:
    """How often each feature of `hierarchy.Gated(law, forest)` fires.

    A root's number is its probability, without error. Below, the mean over points has one,
    and the rarer and deeper a feature, the larger: with rank 25 and scale 0.1, as in
    SynthSAEBench, and features of 0.2, 0.04, 0.008 and 0.0016 by level, half of them are
    within 0.04, 0.1 and 0.2 % and all within 0.3, 1 and 2 % (default points against
    16 times as many).

    Args:
        law: b and the factors F, known numbers.
        forest: who is whose child.
        n_points: Sobol points, a power of two; their mirror images come on top.
    """
    b = np.asarray(law.probability, np.float64)
    return _reached(b, _moves(law.factors, n_points), _own(law.factors), forest)


def exact(
    probability: ArrayLike,
    factors: Float[ArrayLike, "feature rank"],
    forest: Forest,
    n_points: int = 8_192,
) -> Probability:
    """The b that makes features of `Gated(LowRank(b, factors), forest)` fire as wanted.

    From the answer for independent features, b_i is multiplied by wanted / reached until
    all are within one part in a million; a step that makes a feature miss on the other
    side by more is halved from then on. What remains is the error of `marginals`.

    Args:
        probability: wanted, [feature].
        factors: F, [feature, rank].
        forest: who is whose child.
        n_points: see `marginals`.

    Raises:
        ValueError: independent features could not fire like this either (see
            `compensation.exact`), or no b was found: siblings that exclude each other come
            too close to their parent.
    """
    wanted = np.asarray(probability, np.float64)
    b = compensation.exact(wanted, forest)
    moves, own = _moves(factors, n_points), _own(factors)
    fix = "give one row of factors per feature"
    require_width("the number of rows of factors", len(own), len(wanted), fix)
    is_child = (np.asarray(forest.parents) >= 0) & (wanted > 0)
    step, miss = np.ones(len(wanted)), np.zeros(len(wanted))
    for _ in range(_ROUNDS):
        ratio = _reached(b, moves, own, forest) / np.where(wanted > 0, wanted, 1)
        before, miss = miss, np.where(is_child, np.log(np.maximum(ratio, 1e-300)), 0)
        if np.abs(miss).max(initial=0) < _TOLERANCE:
            return b
        worse = (miss * before < 0) & (np.abs(miss) > np.abs(before))
        step = np.where(worse, step / 2, step)
        b = np.minimum(b * np.exp(-step * miss), 1)
    child = int(np.argmax(np.abs(miss)))
    raise ValueError(
        f"feature {child} is to fire with probability {wanted[child]:g} and still misses "
        f"it by a factor of exp({miss[child]:.2g}), expected siblings that leave room "
        "below their parent; lower them, weaken the factors or let siblings fire together"
    )


def _moves(factors: ArrayLike, n_points: int) -> Float[np.ndarray, "point feature"]:
    """F s at every point."""
    factors = np.asarray(factors, np.float64)
    require_range("n_points", n_points, low=2, fix="a power of two, for Sobol's points")
    sobol = qmc.Sobol(factors.shape[1], scramble=True, rng=np.random.default_rng(0))
    source = special.ndtri(sobol.random(n_points)) @ factors.T
    return np.concatenate([source, -source])


def _own(factors: ArrayLike) -> Float[np.ndarray, " feature"]:
    return np.sqrt(1 - np.square(np.asarray(factors, np.float64)).sum(-1))


def _reached(
    b: Probability, moves: np.ndarray, own: np.ndarray, forest: Forest
) -> Probability:
    total = np.zeros(len(b))
    for start in range(0, len(moves), _BLOCK):
        given = special.ndtr((moves[start : start + _BLOCK] + special.ndtri(b)) / own)
        total += compensation.marginals(given, forest).sum(0)
    return np.where(np.asarray(forest.parents) < 0, b, total / len(moves))
