"""The loss of a bottleneck model on a fixed, sparse data set, with its gradient.

A data set of T rows and n features is held as the few entries that are not zero, and the
two parts of the squared error are treated apart:

    E = sum_ti (x_ti - relu(p_ti))^2,  p_ti = h_t . W_i + b_i,  h_t = sum_i x_ti W_i
      = sum_ti relu(p_ti)^2 + sum_{x_ti > 0} (x_ti^2 - 2 x_ti relu(p_ti))

The second sum runs over the entries alone. The first runs over all T n pairs, but needs
nothing from memory except W, b and h: on a CPU it is summed in registers, several times
faster than through a matrix of outputs. The gradient is written out, so that the sums that
it needs are the ones that are made.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from synthetic.base import Pairs
from synthetic.validation import require_finite, require_range
from toymodels.superposition.bottleneck import Params

_UNROLLED = 8
_FEWEST_ROWS = 64

Columns = list[Array]


class Dataset(NamedTuple):
    """The entries of T rows that are not zero, found from either side.

    Unused slots hold index 0 and value 0.

    Attributes:
        by_row: [row, slot]; index is the feature.
        by_feature: [feature, slot]; index is the row.
    """

    by_row: Pairs
    by_feature: Pairs

    @property
    def n_rows(self) -> int:
        return self.by_row.index.shape[0]

    @property
    def n_features(self) -> int:
        return self.by_feature.index.shape[0]


def from_rows(features: Float[np.ndarray, "row feature"]) -> Dataset:
    """A data set of these rows; they must not be negative.

    Raises:
        ValueError: a value is negative, NaN or infinite.
    """
    features = np.asarray(features)
    row, feature = np.nonzero(features)
    return from_entries(row, feature, features[row, feature], features.shape)


def from_entries(
    row: Int[np.ndarray, " entry"],
    feature: Int[np.ndarray, " entry"],
    value: Float[np.ndarray, " entry"],
    shape: tuple[int, int],
) -> Dataset:
    """A data set of `shape` (rows, features) from its entries, for sizes beyond a matrix.

    Raises:
        ValueError: a value is negative, NaN or infinite, or a place outside the shape.
    """
    require_range("row", row, 0, shape[0] - 1, "give the shape as (rows, features)")
    require_range("feature", feature, 0, shape[1] - 1, "give the shape as (rows, features)")
    require_finite("features", value)
    require_range("features", value, low=0, fix="a relu cannot answer a negative value")
    return Dataset(
        _pairs(row, feature, value, shape[0]), _pairs(feature, row, value, shape[1])
    )


def _pairs(place: np.ndarray, index: np.ndarray, value: np.ndarray, n: int) -> Pairs:
    """Entry k goes to the next free slot of `place[k]`."""
    order = np.argsort(place, kind="stable")
    place, index, value = place[order], index[order], value[order]
    count = np.bincount(place, minlength=n)
    slot = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
    shape = (n, max(1, count.max(initial=0)))
    indices, values = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    indices[place, slot], values[place, slot] = index, value
    return Pairs(jnp.asarray(indices), jnp.asarray(values))


def hidden(params: Params, data: Dataset) -> Float[Array, "row hidden"]:
    """h_t = sum_i x_ti W_i."""
    return jnp.stack([_embed(column, data) for column in params.W.T], axis=-1)


def _embed(column: Float[Array, " feature"], data: Dataset) -> Float[Array, " row"]:
    return jnp.sum(data.by_row.value * column[data.by_row.index], axis=1)


def _row_sums(x: Float[Array, "row slot"]) -> Float[Array, " row"]:
    """A product with ones: XLA would repeat a plain sum wherever its result is gathered."""
    return jnp.matmul(x, jnp.ones(x.shape[1], x.dtype), precision=lax.Precision.HIGHEST)


@jax.custom_vjp
def loss(params: Params, data: Dataset) -> Float[Array, ""]:
    """sum_i (x_ti - relu(p_ti))^2, averaged over the rows.

    Rows of norm 1 give a model that answers nothing but zeros a loss of 1. Importance is 1
    for every feature. Only `params` has a gradient.
    """
    return _loss_and_gradient(params, data)[0]


def _forward(params: Params, data: Dataset):
    value, gradient = _loss_and_gradient(params, data)
    return value, gradient


def _backward(gradient: Params, cotangent: Float[Array, ""]):
    return jax.tree.map(lambda g: cotangent * g, gradient), None


loss.defvjp(_forward, _backward)


def _loss_and_gradient(params: Params, data: Dataset) -> tuple[Float[Array, ""], Params]:
    W, b = list(params.W.T), params.b
    h = [_embed(column, data) for column in W]
    to_W, to_b, to_h = _dense_sums(W, b, h)
    dense = sum(jnp.sum(w * g) for w, g in zip(W, to_W, strict=True)) + jnp.sum(b * to_b)

    index, x = data.by_row
    near = [column[index] for column in W]
    answer = jax.nn.relu(
        sum(w * v[:, None] for w, v in zip(near, h, strict=True)) + b[index]
    )
    pull = jnp.where(answer > 0, x, 0)
    to_h = [s - _row_sums(pull * w) for s, w in zip(to_h, near, strict=True)]

    row, x_of = data.by_feature
    rows = [column[row] for column in h]
    answers = sum(v * w[:, None] for v, w in zip(rows, W, strict=True)) + b[:, None]
    pulls = jnp.where(answers > 0, x_of, 0)
    to_b -= jnp.sum(pulls, axis=1)
    to_W = [
        s - jnp.sum(pulls * v, axis=1) + jnp.sum(x_of * g[row], axis=1)
        for s, v, g in zip(to_W, rows, to_h, strict=True)
    ]
    value = (dense + jnp.sum(x * (x - 2 * answer))) / data.n_rows
    gradient = Params(jnp.stack(to_W, axis=-1), to_b)
    scaled = jax.tree.map(
        lambda g, w: (2 * g / data.n_rows).astype(w.dtype), gradient, params
    )
    return value, scaled


def _dense_sums(W: Columns, b: Array, h: Columns) -> tuple[Columns, Array, Columns]:
    """With r_ti = relu(p_ti): sum_t r h_t, sum_t r and sum_i r W_i.

    They are half the gradient of sum r^2, which by Euler's theorem is their inner product
    with W and b.
    """
    if jax.default_backend() != "cpu" or len(h[0]) < _FEWEST_ROWS:
        r = jax.nn.relu(sum(v[:, None] * w for v, w in zip(h, W, strict=True)) + b)
        return [v @ r for v in h], jnp.sum(r, axis=0), [r @ w for w in W]

    def add_row(sums, row):
        r = jax.nn.relu(sum(v * w for v, w in zip(row, W, strict=True)) + b)
        return [s + r * v for s, v in zip(sums[:-1], row, strict=True)] + [sums[-1] + r]

    def add_feature(sums, feature):
        *w, bias = feature
        r = jax.nn.relu(sum(v * u for v, u in zip(h, w, strict=True)) + bias)
        return [s + r * u for s, u in zip(sums, w, strict=True)]

    *to_W, to_b = _over(add_row, [jnp.zeros_like(b)] * (len(W) + 1), h)
    to_h = _over(add_feature, [jnp.zeros_like(h[0])] * len(h), [*W, b])
    return to_W, to_b, to_h


def _over(
    add: Callable[[Columns, list[Array]], Columns], sums: Columns, columns: Columns
) -> Columns:
    """`add` for every entry of `columns`, a few of them in one pass over the sums."""
    table = jnp.stack(columns, axis=-1)

    def add_several(sums, rows):
        for row in rows:
            sums = add(sums, list(row))
        return sums

    n_passes = len(table) // _UNROLLED

    def one_pass(i, sums):
        start = i * _UNROLLED
        return add_several(sums, lax.dynamic_slice_in_dim(table, start, _UNROLLED))

    sums = lax.fori_loop(0, n_passes, one_pass, sums)
    return add_several(sums, table[n_passes * _UNROLLED :])
