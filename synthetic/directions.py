"""Sets of unit directions, rows of an array [feature, d_model]."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.validation import require_range

Directions = Float[Array, "feature d_model"]
_ONE_DRAW = 2**26


def unit_rows(rows: Float[Array, "*batch d_model"]) -> Float[Array, "*batch d_model"]:
    """Each row divided by its length; a row of zeros stays zero, its gradient finite."""
    square = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows / jnp.sqrt(jnp.where(square > 0, square, 1))


def random(key: Key[Array, ""], n_features: int, d_model: int) -> Directions:
    """Independent directions, uniform on the sphere.

    More than 2^26 numbers are drawn in blocks of rows, so that no second array of the
    size of the first is needed.
    """
    if n_features * d_model <= _ONE_DRAW:
        return unit_rows(jax.random.normal(key, (n_features, d_model), jnp.float32))
    rows = min(n_features, max(1, _ONE_DRAW // (8 * d_model)))

    def draw(block, all_rows):
        # The last block ends with the last row; it draws some rows of the one before anew.
        start = jnp.minimum(block * rows, n_features - rows)
        key_block = jax.random.fold_in(key, block)
        fresh = unit_rows(jax.random.normal(key_block, (rows, d_model), jnp.float32))
        return jax.lax.dynamic_update_slice(all_rows, fresh, (start, 0))

    @jax.jit
    def draw_all() -> Directions:
        empty = jnp.zeros((n_features, d_model), jnp.float32)
        return jax.lax.fori_loop(0, -(-n_features // rows), draw, empty)

    return draw_all()


def orthogonal(key: Key[Array, ""], n_features: int, d_model: int) -> Directions:
    """Orthonormal rows, uniform over rotations; needs `n_features <= d_model`."""
    if n_features > d_model:
        raise ValueError(
            f"{n_features} orthogonal directions were asked for in {d_model} "
            f"dimensions, expected at most {d_model}; use `random` or `spread`"
        )
    q, r = jnp.linalg.qr(jax.random.normal(key, (d_model, n_features), jnp.float32))
    return (q * jnp.sign(jnp.diagonal(r))).T


def antipodal_pairs(d_model: int) -> Directions:
    """2 d_model rows: each axis and, right after it, its opposite."""
    axes = jnp.repeat(jnp.eye(d_model, dtype=jnp.float32), 2, axis=0)
    return axes * jnp.tile(jnp.array([1.0, -1.0], jnp.float32), d_model)[:, None]


def simplex(d_model: int) -> Directions:
    """d_model + 1 rows, every two of them with cosine -1/d_model."""
    return equicorrelated(d_model + 1, d_model, -1 / d_model)


def equicorrelated(n_features: int, d_model: int, cosine: float) -> Directions:
    """Rows of which every two have exactly the same cosine.

    Their Gram matrix (1 - c) I + c 1 1^T has eigenvalues 1 - c and 1 + (n - 1) c, so
    -1/(n-1) <= c < 1, and it fits where `d_model >= n_features`, or one less at the
    lower end (a simplex).
    """
    require_range("n_features", n_features, low=2, fix="one row has no pairs")
    lowest = -1 / (n_features - 1)
    require_range("cosine", cosine, lowest - 1e-9, 1 - 1e-9, "spread the rows less")
    gram = (1 - cosine) * np.eye(n_features) + cosine
    values, vectors = np.linalg.eigh(gram)
    rows = (vectors * np.sqrt(np.clip(values, 0, None)))[:, values > 1e-9]
    if rows.shape[1] > d_model:
        raise ValueError(
            f"{n_features} rows with pairwise cosine {cosine:g} span {rows.shape[1]} "
            f"dimensions, expected at most d_model = {d_model}; raise d_model"
        )
    return jnp.asarray(np.pad(rows, ((0, 0), (0, d_model - rows.shape[1]))), jnp.float32)


def rotated(key: Key[Array, ""], directions: Directions) -> Directions:
    """The same set, turned by a uniform random rotation or reflection."""
    d_model = directions.shape[-1]
    return directions @ orthogonal(key, d_model, d_model)


def welch_bound(n_features: int, d_model: int) -> float:
    """The least possible max |cosine| of n unit rows in d dimensions (Welch 1974).

    sqrt((n - d) / (d (n - 1))) for n > d, else 0.
    """
    if n_features <= d_model:
        return 0.0
    return float(np.sqrt((n_features - d_model) / (d_model * (n_features - 1))))


def max_coherence(directions: Directions) -> Float[Array, ""]:
    """The largest |cosine| between two different rows."""
    gram = jnp.abs(directions @ directions.T)
    return jnp.max(gram - jnp.diag(jnp.diagonal(gram)))


def spread(
    key: Key[Array, ""],
    n_features: int,
    d_model: int,
    coherence: float,
    steps: int = 2000,
) -> Directions:
    """Random directions pushed apart until no |cosine| exceeds `coherence`.

    Descends sum_{i != j} max(0, |d_i . d_j| - coherence)^2 on the sphere.

    Raises:
        ValueError: the target lies below the Welch bound, or `steps` did not reach it.
    """
    bound = welch_bound(n_features, d_model)
    require_range(
        "coherence",
        coherence,
        bound,
        1.0,
        f"{n_features} rows in {d_model} dimensions cannot be closer to orthogonal",
    )
    margin = 0.98 * coherence

    def excess(rows: Directions) -> Float[Array, ""]:
        rows = unit_rows(rows)
        cosine = rows @ rows.T * (1 - jnp.eye(n_features, dtype=rows.dtype))
        return jnp.sum(jnp.maximum(jnp.abs(cosine) - margin, 0) ** 2)

    def descend(_, rows: Directions) -> Directions:
        return unit_rows(rows - 0.25 * jax.grad(excess)(rows))

    start = random(key, n_features, d_model)
    rows = jax.lax.fori_loop(0, steps, descend, start)
    reached = float(max_coherence(rows))
    if reached > coherence:
        raise ValueError(
            f"the directions reached a coherence of {reached:.3f}, expected at most "
            f"{coherence:.3f} (the Welch bound is {bound:.3f}); raise the target, "
            "d_model or steps"
        )
    return rows
