"""Linear probes: what can be read off the residual stream by one matrix, at every site.

A probe is the ridge regression of features on the stream, in closed form from its second
moments: exact, without a learning rate, one pass for all sites and features. What a square
holds is the largest of the three answers "mine", "theirs" and "empty" there (the question
of Nanda et al. 2023, arXiv 2309.00941, who fit logistic probes by gradient steps); other
features are present where the answer is above a half.

Scores need controls: the same probe of a model that was never trained, and of the moves
themselves (`residual.OthelloMoves`). An exact probe also finds what lies in directions of
little variance, so that the first stands about as high as the second.

Whatever key is given, probes are fitted and scored on other positions than the model was
trained on, and scored on others than they were fitted to (`synthetic.random.named`).
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic import random
from synthetic.validation import require_range

_FIT, SCORED = "probes.fit", "probes.scores"


class Streams(Protocol):
    """A world whose rows have a stream at every site; `slots` rows of each game."""

    @property
    def slots(self) -> int: ...

    def streams(self, key: Key[Array, ""], n_games: int) -> tuple[Array, Array]: ...


class Probes(NamedTuple):
    """Attributes:
    W: the matrices.
    b: the offsets.
    """

    W: Float[np.ndarray, "site d_model feature"]
    b: Float[np.ndarray, "site feature"]


def answers(probes: Probes, x: Float[Array, "site row d_model"]) -> Array:
    """x W + b at every site: [site, row, feature]."""
    return jnp.einsum("srd,sdf->srf", x, probes.W) + probes.b[:, None]


def fit(
    key: Key[Array, ""],
    world: Streams,
    n_rows: int = 65_536,
    ridge: float = 1e-4,
    block: int = 4096,
) -> Probes:
    """Probes of all features of `world` at all sites.

    Minimises the mean of |x W + b - features|^2 plus ridge * v |W|^2, where v is the mean
    variance of an entry of x, so that `ridge` has no unit.

    Args:
        key: of the positions.
        world: its site does not matter.
        n_rows: positions, rounded up to whole blocks.
        ridge: weight of the penalty.
        block: positions held in memory at once.
    """
    require_range("ridge", ridge, low=0.0, fix="it weighs a penalty")

    keys = list(block_keys(key, _FIT, n_rows, block))
    # Around the mean of one block, float32 sums keep directions of little variance.
    first = block_rows(world, keys[0], block)
    middle = first[0].mean(axis=1)
    blocks = chain([first], (block_rows(world, k, block) for k in keys[1:]))
    found = [jax.device_get(_moments(x, y, middle)) for x, y in blocks]
    gram, cross = (np.sum(p, axis=0, dtype=float) for p in zip(*found, strict=True))
    n = gram[:, -1:, -1:]
    mean_x, mean_y = gram[:, -1, :-1] / n[:, 0], cross[:, -1] / n[:, 0]
    covariance = gram[:, :-1, :-1] / n - mean_x[:, :, None] * mean_x[:, None]
    cross = cross[:, :-1] / n - mean_x[:, :, None] * mean_y[:, None]
    variance = np.trace(covariance, axis1=1, axis2=2) / mean_x.shape[-1]
    # Where all rows are the same vector, what float32 cannot tell apart is no variance.
    rounding = np.mean((np.finfo(np.float32).eps * np.asarray(middle)) ** 2, axis=-1)
    penalty = (ridge * variance + rounding)[:, None, None] * np.eye(mean_x.shape[-1])
    W = np.linalg.solve(covariance + penalty, cross)
    b = mean_y - np.einsum("sd,sdf->sf", mean_x + np.asarray(middle), W)
    return Probes(W.astype(np.float32), b.astype(np.float32))


class FeatureScores(NamedTuple):
    """Shares of features that are read off right, on fresh rows.

    Attributes:
        accuracy: over all features.
        whole: of rows in which all features are read right.
        by_feature: of each feature.
        base: of features, by the commoner answer of each, which reads nothing.
    """

    accuracy: Float[np.ndarray, " site"]
    whole: Float[np.ndarray, " site"]
    by_feature: Float[np.ndarray, "site feature"]
    base: float


def feature_scores(
    key: Key[Array, ""],
    probes: Probes,
    world: Streams,
    n_rows: int = 16_384,
    block: int = 4096,
) -> FeatureScores:
    """How well the probes read yes-or-no features: yes where the answer is above a half."""
    keys = block_keys(key, SCORED, n_rows, block)
    found = [jax.device_get(_yes_or_no(probes, *block_rows(world, k, block))) for k in keys]
    by_feature, whole, rate = (np.mean(part, axis=0) for part in zip(*found, strict=True))
    base = float(np.maximum(rate, 1 - rate).mean())
    return FeatureScores(by_feature.mean(-1), whole, by_feature, base)


@partial(jax.jit, static_argnames="n_games")
def _streams(world: Streams, key: Key[Array, ""], n_games: int) -> tuple[Array, Array]:
    return world.streams(key, n_games)


def block_rows(world: Streams, key: Key[Array, ""], block: int) -> tuple[Array, Array]:
    """At least `block` of them. Games and forward pass are most of what is compiled: one
    program serves every function here, and all worlds that differ in leaves alone.
    """
    return _streams(world, key, -(-block // world.slots))


@jax.jit
def _moments(
    x: Float[Array, "site row d_model"],
    y: Float[Array, "row feature"],
    middle: Float[Array, "site d_model"],
) -> tuple[Array, Array]:
    """Sums over rows of (x - middle, 1) (x - middle, 1)' and of (x - middle, 1) y'."""
    x = x - middle[:, None]
    x = jnp.concatenate([x, jnp.ones((*x.shape[:2], 1), x.dtype)], axis=-1)
    with jax.default_matmul_precision("highest"):
        return jnp.einsum("srd,sre->sde", x, x), jnp.einsum("srd,rf->sdf", x, y)


@jax.jit
def _yes_or_no(probes: Probes, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Shares of right answers by site and feature, of rows all right by site; the rate."""
    right = (answers(probes, x) > 0.5) == (y > 0)
    return right.mean(1), right.all(-1).mean(1), jnp.mean(y > 0, axis=0)


def block_keys(
    key: Key[Array, ""], purpose: str, n_rows: int, block: int
) -> Iterator[Key[Array, ""]]:
    """Of blocks that neither training nor a call for another purpose draws."""
    return iter(jax.random.split(random.named(key, purpose), -(-n_rows // block)))
