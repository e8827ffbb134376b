"""Correlated firing by a Gaussian copula; every feature keeps its own probability.

Feature i fires where g_i > t_i = Phi^-1(1 - p_i), with g ~ N(0, R), so that it fires with
probability p_i whatever R is. This is the law of SynthSAEBench (Chanin &
Garriga-Alonso, arXiv 2602.14687). The correlation of firing is weaker than that of g.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.firing.laws import Draw, Probability, from_uniform, uniform
from synthetic.shapes import of_fields
from synthetic.validation import (
    concrete,
    require_probability,
    require_range,
    require_width,
)

Correlation = Float[np.ndarray, "feature feature"]
_UNIT = 1e-4


@struct.dataclass
class Copula:
    """Any correlation matrix R = root root^T, for up to a few thousand features.

    Attributes:
        probability: [feature], in [0, 1]; a leaf.
        root: [feature, source], rows of length 1; a leaf. `of_correlation` finds it.
    """

    probability: Probability
    root: Array

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.root, "ndim", 0) < 2:
            return
        require_probability("probability", self.probability)
        _require_row_a_feature("root", self.root, self.probability)
        known = concrete(self.root)
        if known is not None:
            length = np.linalg.norm(known, axis=-1)
            fix = "use Copula.of_correlation, which finds such a root"
            require_range("the length of a row of root", length, 1 - _UNIT, 1 + _UNIT, fix)

    @classmethod
    def of_correlation(cls, probability: Probability, correlation: ArrayLike) -> "Copula":
        """From R itself [feature, feature].

        Raises:
            ValueError: R is no correlation matrix (see `nearest`).
        """
        matrix = np.asarray(correlation, np.float64)
        values, vectors = np.linalg.eigh(_require_correlation(matrix))
        root = vectors * np.sqrt(np.clip(values, 0, None))
        root /= np.linalg.norm(root, axis=1, keepdims=True)
        return cls(probability, jnp.asarray(root, jnp.float32))

    @property
    def n_features(self) -> int:
        return self.probability.shape[-1]

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self.probability, axis=-1)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        """g decides who fires; levels are drawn apart, for g_i tells of the others too."""
        key_g, key_level = jax.random.split(key)
        source = jax.random.normal(key_g, (batch_size, self.root.shape[-1]), jnp.float32)
        fires = source @ self.root.T > -ndtri(self.probability)
        return Draw(fires, uniform(key_level, fires.shape))


@struct.dataclass
class LowRank:
    """R = F F^T + diag(1 - |F_i|^2), for any number of features.

    Given the shared sources s ~ N(0, I), features fire independently, feature i with
    probability Phi((F_i . s - t_i) / sqrt(1 - |F_i|^2)). So one uniform draw a feature
    decides whether it fires and is its level.

    Attributes:
        probability: [feature], in [0, 1]; a leaf.
        factors: F [feature, rank], rows shorter than 1; a leaf.
    """

    probability: Probability
    factors: Array

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.factors, "ndim", 0) < 2:
            return
        require_probability("probability", self.probability)
        _require_row_a_feature("factors", self.factors, self.probability)
        known = concrete(self.factors)
        if known is not None:
            square = np.square(known.astype(np.float64)).sum(-1)
            fix = "use a smaller scale or `random_factors`, which shortens such rows"
            require_range("the squared length of a row of factors", square, 0, 0.9999, fix)

    @property
    def n_features(self) -> int:
        return self.probability.shape[-1]

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self.probability, axis=-1)

    def shared(self, key: Key[Array, ""], batch_size: int) -> Float[Array, "batch rank"]:
        """The sources s that the features of a sample have in common."""
        return jax.random.normal(key, (batch_size, self.factors.shape[-1]), jnp.float32)

    def given(
        self, shared: Float[Array, "batch rank"], index: ArrayLike | None = None
    ) -> Float[Array, "batch feature"]:
        """The probability of each feature given the shared sources.

        Args:
            shared: from `shared`.
            index: which features: None for all, [m] for the same ones in every sample,
                [batch, m] for others in each.
        """
        probability, factors = self.probability, self.factors
        if index is not None:
            probability, factors = probability[index], factors[index]
        own = jnp.sqrt(1 - jnp.sum(jnp.square(factors), axis=-1))
        if factors.ndim == 2:
            moved = shared @ factors.T
        else:
            moved = jnp.sum(shared[:, None] * factors, axis=-1)
        return ndtr((moved + ndtri(probability)) / own)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        key_shared, key_own = jax.random.split(key)
        probability = self.given(self.shared(key_shared, batch_size))
        return from_uniform(uniform(key_own, probability.shape), probability)


def random_correlation(
    key: Key[Array, ""],
    n_features: int,
    uncorrelated: float = 0.3,
    positive: float = 0.5,
    low: float = 0.1,
    high: float = 0.8,
) -> Correlation:
    """A random correlation matrix, made as in SAELens 6 (`sae_lens.synthetic`).

    Each pair is uncorrelated with probability `uncorrelated`; else its correlation is
    positive with probability `positive`, and its size uniform on [low, high]. `nearest`
    then makes a correlation matrix of it, which shrinks the entries of large matrices.
    """
    require_range("n_features", n_features, low=1)
    require_probability("uncorrelated", uncorrelated)
    require_probability("positive", positive)
    require_range("low", low, 0, high, "it is the least size of a correlation")
    require_range("high", high, low, 1, "a correlation is at most 1")
    keys = jax.random.split(key, 3)
    shape = (n_features, n_features)
    none, sign, size = (
        np.asarray(jax.random.uniform(k, shape, jnp.float32), np.float64) for k in keys
    )
    entry = np.where(sign < positive, 1, -1) * (low + (high - low) * size)
    upper = np.triu(np.where(none < uncorrelated, 0, entry), 1)
    return nearest(upper + upper.T + np.eye(n_features))


def nearest(matrix: ArrayLike, floor: float = 1e-6) -> Correlation:
    """A correlation matrix near a symmetric one: eigenvalues below `floor` are raised to
    it, then rows and columns are scaled to a diagonal of ones.
    """
    matrix = _require_symmetric(np.asarray(matrix, np.float64))
    values, vectors = np.linalg.eigh(matrix)
    raised = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diagonal(raised))
    raised = raised / np.outer(scale, scale)
    np.fill_diagonal(raised, 1)
    return (raised + raised.T) / 2


def random_factors(
    key: Key[Array, ""], n_features: int, rank: int, scale: float
) -> Float[Array, "feature rank"]:
    """Factors of `LowRank`, each entry N(0, scale^2); the correlation of two features is
    then about scale^2 sqrt(rank). Rows with |F_i|^2 > 0.99 are shortened to that.
    """
    require_range("rank", rank, low=1, fix="features share at least one source")
    require_range("scale", scale, low=0.0, fix="it is a deviation")
    factors = scale * jax.random.normal(key, (n_features, rank), jnp.float32)
    square = jnp.sum(jnp.square(factors), axis=1, keepdims=True)
    return factors * jnp.minimum(1, jnp.sqrt(0.99 / jnp.maximum(square, 1e-30)))


def _require_row_a_feature(name: str, rows: Array, probability: Probability) -> None:
    fix = "give one row and one firing probability per feature"
    received, expected = rows.shape[-2], probability.shape[-1]
    require_width(f"the number of rows of {name}", received, expected, fix)


def _require_symmetric(matrix: Correlation) -> Correlation:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"the correlation matrix has shape {matrix.shape}, expected a square; give "
            "one row and one column per feature"
        )
    difference = np.abs(matrix - matrix.T).max(initial=0)
    if not difference <= 1e-6:
        raise ValueError(
            f"the correlation matrix differs from its transpose by {difference:g}, "
            "expected a symmetric matrix of numbers; average it with its transpose"
        )
    return matrix


def _require_correlation(matrix: Correlation) -> Correlation:
    _require_symmetric(matrix)
    off = np.abs(np.diagonal(matrix) - 1).max(initial=0)
    if off > 1e-6:
        raise ValueError(
            f"the diagonal of the correlation matrix is off by {off:g}, expected ones; "
            "divide row i and column i by the deviation of feature i"
        )
    least = np.linalg.eigvalsh(matrix).min(initial=0)
    if least < -1e-6:
        raise ValueError(
            f"the correlation matrix has the eigenvalue {least:.3g}, expected none below "
            "0; no features correlate like this, project it with `correlation.nearest`"
        )
    return matrix
