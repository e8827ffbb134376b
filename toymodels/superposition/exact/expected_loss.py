r"""The expected loss of a small bottleneck model, and its minima, without sampling.

Features are independent: feature i is 0, or with probability p_i uniform on [0, 1]. The
expectation is a sum over the 2^n patterns of active features, each an integral over the
cube of their values. Output i is relu(b_i + sum_j G_ij f_j) with G = W W^T, so along one
value the squared error is two parabolas that meet at a kink, and its integral is a closed
form. Along a second value that integral is two or three cubics, and a two-point Gauss rule
is exact on each. What is left, when three or more features are active, is smooth: a product
rule of few points.

For n = 1 and 2 the loss is exact; beyond, right to six digits and better. An independent
yardstick for trained models; for n up to about 6.
"""

from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_probability, require_range
from toymodels.superposition.bottleneck import Params
from toymodels.training import ensemble, newton

_POINTS_PER_PATTERN = 64
_MOST_POINTS_PER_VALUE = 12
_FLAT = 1e-12

Weights = tuple[
    Float[ArrayLike, "*problem feature hidden"], Float[ArrayLike, "*problem feature"]
]


def expected_loss(
    W: Float[Array, "feature hidden"],
    b: Float[Array, " feature"],
    density: Float[Array, " feature"],
    importance: Float[Array, " feature"],
) -> Float[Array, ""]:
    """(1/n) sum_i I_i E(f_i - relu((f W W^T + b)_i))^2, differentiable twice.

    It is the mean over features, as `Bottleneck.loss`; the paper's is n times as large.
    """
    nodes = _nodes(len(b))
    pattern = nodes.is_active[nodes.pattern]
    probability = jnp.prod(jnp.where(pattern, density, 1 - density), axis=1)

    def output(feature, gain, bias):
        # The values that the output hangs on most are integrated exactly.
        order = jnp.argsort(jnp.where(nodes.is_active, -jnp.abs(gain), 1.0), axis=1)
        active = jnp.take_along_axis(jnp.asarray(nodes.is_active), order, axis=1)
        own = _two_or_more(active & (order == feature))[nodes.pattern]
        gain = _two_or_more(jnp.where(active, gain[order], 0.0))[nodes.pattern]
        constant = bias + jnp.sum(gain[:, 2:] * nodes.rest, axis=1)
        target = jnp.sum(own[:, 2:] * nodes.rest, axis=1)
        error = _square_error(target, own, constant, gain)
        return jnp.sum(probability * nodes.weight * error)

    return jnp.mean(importance * jax.vmap(output)(jnp.arange(len(b)), W @ W.T, b))


def _two_or_more(x: Array) -> Array:
    """[pattern, value] with a second value that counts for nothing if there is but one."""
    return jnp.pad(x * 1.0, [(0, 0), (0, max(0, 2 - x.shape[1]))])


class _Nodes(NamedTuple):
    is_active: np.ndarray  # [pattern, feature]
    pattern: np.ndarray  # [node], which pattern it belongs to
    rest: np.ndarray  # [node, value], all values but the first two
    weight: np.ndarray  # [node]


def _nodes(n_features: int) -> _Nodes:
    """For every pattern of active features, points in the values integrated by rule."""
    is_active = np.array(list(product((False, True), repeat=n_features)))
    pattern, rest, weight = [], [], []
    for i, n_active in enumerate(is_active.sum(axis=1)):
        points, weights = _product_rule(max(n_active - 2, 0))
        padding = max(n_features - 2, 0) - points.shape[1]
        rest.append(np.pad(points, [(0, 0), (0, padding)]))
        weight.append(weights)
        pattern.append(np.full(len(weights), i))
    return _Nodes(is_active, *map(np.concatenate, (pattern, rest, weight)))


def line_error(
    target: Float[Array, "*any"],
    target_slope: Float[Array, "*any"],
    constant: Float[Array, "*any"],
    gain: Float[Array, "*any"],
) -> Float[Array, "*any"]:
    """The integral of (target + target_slope t - relu(constant + gain t))^2 over [0, 1].

    In closed form: the output is above zero on one interval that ends at 0, at 1 or at the
    kink -constant / gain.
    """
    flat = jnp.abs(gain) < _FLAT
    kink = jnp.clip(-constant / jnp.where(flat, 1.0, gain), 0.0, 1.0)
    kink = jnp.where(flat, jnp.where(constant > 0, 0.0, 1.0), kink)
    falls = ~flat & (gain < 0)
    low, high = jnp.where(falls, 0.0, kink), jnp.where(falls, kink, 1.0)
    # relu^2 - 2 target relu, a parabola in t where the output is above zero.
    c0 = constant * (constant - 2 * target)
    c1 = constant * (gain - 2 * target_slope) + gain * (constant - 2 * target)
    c2 = gain * (gain - 2 * target_slope)

    def primitive(t):
        return t * (c0 + t * (c1 / 2 + t * c2 / 3))

    without_output = target * (target + target_slope) + jnp.square(target_slope) / 3
    return without_output + primitive(high) - primitive(low)


# Two Gauss points on each of [0, a], [a, b] and [b, 1] are START + A a + B b, and their
# weights the same with half the length of each piece.
_X = 0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5
_START, _A, _B = np.array(
    [(0, x, 0) for x in _X] + [(0, 1 - x, x) for x in _X] + [(x, 0, 1 - x) for x in _X]
).T
_WEIGHT_START, _WEIGHT_A, _WEIGHT_B = np.repeat(
    [(0, 0.5, 0), (0, -0.5, 0.5), (0.5, 0, -0.5)], 2, axis=0
).T


def _square_error(target, own, constant, gain):
    """The same over the unit square: [node], with slopes and gains [node, value].

    As a function of the second value the inner integral is a cubic between the points
    where the kink enters and leaves [0, 1], and twice differentiable at them: so they
    may be held fixed when the loss is differentiated.
    """
    first, second = gain[:, 0], gain[:, 1]
    divisor = jnp.where(jnp.abs(second) < _FLAT, 1.0, second)
    enters, leaves = -constant / divisor, -(constant + first) / divisor
    a = lax.stop_gradient(jnp.clip(jnp.minimum(enters, leaves), 0.0, 1.0))[:, None]
    b = lax.stop_gradient(jnp.clip(jnp.maximum(enters, leaves), 0.0, 1.0))[:, None]
    value, weight = _START + _A * a + _B * b, _WEIGHT_START + _WEIGHT_A * a + _WEIGHT_B * b
    error = line_error(
        target[:, None] + own[:, 1:2] * value,
        own[:, :1],
        constant[:, None] + second[:, None] * value,
        first[:, None],
    )
    return jnp.sum(weight * error, axis=1)


def _product_rule(n_values: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points [point, value] and weights on the unit cube."""
    if n_values == 0:
        return np.zeros((1, 0)), np.ones(1)
    most = int(_POINTS_PER_PATTERN ** (1 / n_values) + 1e-9)
    x, w = np.polynomial.legendre.leggauss(min(_MOST_POINTS_PER_VALUE, max(most, 3)))
    points = np.meshgrid(*[(x + 1) / 2] * n_values, indexing="ij")
    weights = np.meshgrid(*[w / 2] * n_values, indexing="ij")
    flat = np.stack(points, axis=-1).reshape(-1, n_values)
    return flat, np.stack(weights, axis=-1).prod(-1).ravel()


def losses(
    params: Weights,
    density: Float[ArrayLike, "*problem feature"],
    importance: Float[ArrayLike, "*problem feature"],
) -> Float[np.ndarray, "*problem"]:
    """The expected loss of every model, in float64.

    Args:
        params: `Params` or (W, b): W [*problem, feature, hidden] and b [*problem, feature].
        density, importance: broadcast against b.
    """
    return _of_each(expected_loss, params, density, importance)


def minima(
    start: Weights,
    density: Float[ArrayLike, "*problem feature"],
    importance: Float[ArrayLike, "*problem feature"],
    max_steps: int = 200,
) -> newton.Minimum:
    """The minimum of the expected loss in the basin of every start, in float64.

    All starts of all problems run in one program, on every CPU core.

    Args:
        start: `Params` or (W, b): W [*problem, feature, hidden] and b [*problem, feature].
        density: probability that each feature is present; broadcast against b.
        importance: weight of each feature's error; broadcast against b.
        max_steps: of Newton's method.

    Returns:
        Arrays with the leading axes of the start. The least `loss` is the best of several
        starts; `gradient` tells whether it has converged.
    """

    def one(W, b, density, importance):
        def loss(params):
            return expected_loss(params.W, params.b, density, importance)

        return newton.minimise(loss, Params(W, b), max_steps)

    return _of_each(one, start, density, importance)


def _of_each(function, params: Weights, density, importance):
    require_probability("density", density)
    require_range("importance", importance, low=0.0, fix="it is a weight")
    W, b = (np.asarray(x, np.float64) for x in params)
    leading = b.shape[:-1]
    each = [
        np.broadcast_to(np.asarray(x, np.float64), b.shape) for x in (density, importance)
    ]
    flat = [x.reshape(-1, *x.shape[len(leading) :]) for x in (W, b, *each)]
    with jax.enable_x64(True):
        together = ensemble.over_members(function, len(flat[0]))
        found = jax.device_get(jax.jit(together)(*flat))
    return jax.tree.map(lambda x: x.reshape(leading + x.shape[1:]), found)


def optimum(
    n_features: int,
    n_hidden: int,
    density: Float[ArrayLike, " feature"] | float,
    importance: Float[ArrayLike, " feature"],
    starts: int = 8,
    seed: int = 0,
) -> float:
    """The lowest expected loss found from `starts` random initial weights.

    Not every start ends there: for five features in two dimensions most do at density
    0.05, about one in ten at 0.2. Give more starts near a change of structure.
    """
    generator = np.random.default_rng(seed)
    scale = (2 / (n_features + n_hidden)) ** 0.5
    W = scale * generator.normal(size=(starts, n_features, n_hidden))
    found = minima((W, np.zeros((starts, n_features))), density, importance)
    return float(np.min(found.loss))
