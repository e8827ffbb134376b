"""The exact loss of a bottleneck model on one-hot inputs, and its regular k-gons.

Inputs are t e_i: one feature of c, each equally likely, with t uniform on [0, 1]. The
expected loss is a sum of c^2 integrals in closed form, so critical points are known to the
last digit. Regular k-gons of features, the others dropped, are critical points, and their
losses are the levels on which training rests (Chen et al. 2023, arXiv 2310.06301).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_range
from toymodels.superposition.bottleneck import Params
from toymodels.superposition.exact.expected_loss import line_error
from toymodels.training import newton


def one_hot_loss(
    W: Float[Array, "feature hidden"],
    b: Float[Array, " feature"],
    importance: Float[ArrayLike, " feature"] | float = 1.0,
) -> Float[Array, ""]:
    """(1/c) sum_ij I_j E_t(t [i = j] - relu(t W_i . W_j + b_j))^2: the sum over outputs.

    c times `Bottleneck.loss` on such inputs, which is the mean over outputs.
    """
    own = jnp.eye(len(b), dtype=W.dtype)
    error = line_error(jnp.zeros_like(own), own, b[None, :] * jnp.ones_like(own), W @ W.T)
    return jnp.mean(jnp.sum(importance * error, axis=1))


class Kgon(NamedTuple):
    """A regular polygon of k features; the others are dropped.

    Attributes:
        params: W [feature, 2] and b [feature]; the k vertices come first.
        length: of the vertices' rows.
        bias: of the vertices.
        loss: `one_hot_loss` there.
        gradient: the largest entry, without its sign, of its gradient in all parameters.
    """

    params: Params
    length: float
    bias: float
    loss: float
    gradient: float


def kgon(k: int, n_features: int, n_answered: int = 0) -> Kgon:
    """The critical point whose first `k` rows are a regular polygon, in float64.

    Length and bias of the vertices minimise the loss of the polygon alone, k features whose
    outputs no dropped row disturbs.

    Args:
        k: vertices, at least 4: three or fewer leave room and are no critical points.
        n_features: c, at least k.
        n_answered: how many of the dropped features have the bias 1/(2c), the mean of
            their value, which lowers the loss by 1/(4c^2) each; the others a negative
            bias, so that they answer nothing.
    """
    require_range("k", k, 4, n_features, "k counts the vertices among the features")
    n_dropped = n_features - k
    require_range("n_answered", n_answered, 0, n_dropped, "it counts dropped features")
    turn = 2 * np.pi * np.arange(k) / k
    corners = np.zeros((n_features, 2))
    corners[:k] = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    dropped_bias = np.full(n_features, -1.0)
    dropped_bias[k : k + n_answered] = 1 / (2 * n_features)
    start = np.array([1.0 + 0.15 * (k - 4), -0.3 * (k - 4)])
    with jax.enable_x64(True):
        found = jax.device_get(_critical_point(start, corners, dropped_bias))
    (length, bias), params, loss, gradient = found
    steepest = max(np.abs(g).max() for g in gradient)
    return Kgon(params, float(length), float(bias), float(loss), float(steepest))


def minimum(
    start: tuple[Float[ArrayLike, "feature hidden"], Float[ArrayLike, " feature"]],
    importance: Float[ArrayLike, "problem feature"],
) -> newton.Minimum:
    """The minimum in the basin of `start`, in float64, for every row of importances."""
    with jax.enable_x64(True):
        first = Params(*(jnp.asarray(x, jnp.float64) for x in start))
        return jax.device_get(_descend(first, jnp.asarray(importance, jnp.float64)))


@jax.jit
def _descend(start, importance):
    def one(importance):
        return newton.minimise(lambda p: one_hot_loss(p.W, p.b, importance), start)

    return jax.vmap(one)(importance)


@jax.jit
def _critical_point(start, corners, dropped_bias):
    """(length, bias), the parameters, their loss and its gradient in all of them."""
    is_vertex = jnp.any(corners != 0, axis=1)

    def whole(shape):
        return Params(shape[0] * corners, jnp.where(is_vertex, shape[1], dropped_bias))

    shape = newton.minimise(lambda shape: one_hot_loss(*whole(shape)), start).params
    loss, gradient = jax.value_and_grad(lambda p: one_hot_loss(*p))(whole(shape))
    return shape, whole(shape), loss, gradient
