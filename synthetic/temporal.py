"""Sequences in which some features last and others change at every position."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.base import Batch
from synthetic.firing import Firing
from synthetic.magnitude import Magnitude, Uniform
from synthetic.noise import add_noise, force, require_noise
from synthetic.shapes import of_fields
from synthetic.validation import require_probability, require_range, require_width


@struct.dataclass
class TopicsAndTokens:
    r"""Sequences x [batch, time, d_model] of slow topic features and fast token features.

    x_t = sum_i a_ti d_i + bias + noise. The topics of a sequence, presence and size alike,
    stay from one position to the next with probability r = `persistence` and are otherwise
    drawn anew, all together; the tokens are drawn anew at every position. At each position
    the features then follow the two laws exactly, and at a distance of s positions

        Cov(a_t, a_{t+s}) = r^s Cov(a_t) for topics, 0 for tokens and between the two:

    the autocorrelation of a topic is r^s, and its mean stay 1 / (1 - r) positions.

    Topics come first among the features. At r = 1 a sequence has one set of topics.

    Raises:
        ValueError: directions and laws count features differently, fewer than one
            position, a persistence outside [0, 1], or a negative noise.

    Attributes:
        directions: [feature, d_model], rows; those of the topics first.
        topics: the law of the slow features; any law without a memory of its own.
        tokens: the law of the fast features.
        persistence: r, in [0, 1]; a leaf.
        n_positions: the length of a sequence; static.
        magnitude: how strong an active feature is, of topics and tokens.
        bias: [d_model] or a number, added to every position.
        noise: as in `SparseFeatures`, drawn at every position; None draws none.
    """

    directions: Array
    topics: Firing
    tokens: Firing
    persistence: ArrayLike = 0.9
    n_positions: int = struct.field(pytree_node=False, default=16)
    magnitude: Magnitude = Uniform()
    bias: ArrayLike = 0.0
    noise: ArrayLike | None = None

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.directions, "ndim", 0) >= 2:
            require_width(
                "the number of rows of directions",
                self.n_features,
                self.topics.n_features + self.tokens.n_features,
                "give one direction per topic and token feature, topics first",
            )
        require_range("n_positions", self.n_positions, low=1, fix="a sequence has some")
        require_probability("persistence", self.persistence)
        require_noise(self.noise)

    @property
    def n_topics(self) -> int:
        """Features 0 to n_topics - 1 are slow."""
        return self.topics.n_features

    @property
    def n_features(self) -> int:
        return self.directions.shape[-2]

    @property
    def d_model(self) -> int:
        return self.directions.shape[-1]

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` independent sequences; features are [batch, time, feature]."""
        require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
        key_topics, key_tokens, key_stay, key_noise = jax.random.split(key, 4)
        shape = (batch_size, self.n_positions)
        topic, token = (
            law.draw(key, batch_size * self.n_positions)
            for law, key in ((self.topics, key_topics), (self.tokens, key_tokens))
        )
        stays = jax.random.uniform(key_stay, shape, jnp.float32) < self.persistence
        start = last_renewal(stays)[..., None]
        fires, level = (
            jnp.concatenate(
                [
                    jnp.take_along_axis(slow.reshape(*shape, -1), start, axis=1),
                    fast.reshape(*shape, -1),
                ],
                axis=-1,
            )
            for slow, fast in zip(topic, token, strict=True)
        )
        features = jnp.where(fires, self.magnitude.from_level(level), 0)
        x = features @ self.directions + jnp.asarray(self.bias, self.directions.dtype)
        rows = add_noise(key_noise, x.reshape(-1, self.d_model), self.noise)
        return Batch(rows.reshape(x.shape), features)

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> Batch:
        """The sequences of `sample` under the same key, one feature forced to `value`.

        `value` is a number, or one for each position: [time] or [batch, time].
        """
        return force(self.sample(key, batch_size), self.directions, feature, value)


def last_renewal(stays: Array) -> Int[Array, "batch time"]:
    """The latest position, up to each one, that does not stay with the one before.

    Position 0 has none before it and always begins anew.
    """
    position = jnp.arange(stays.shape[1], dtype=jnp.int32)
    return lax.cummax(jnp.where(stays, 0, position), axis=1)


@struct.dataclass
class SinglePositions:
    """Positions as single samples, [batch, d_model], for scores and for comparison.

    Every position has the same law, so each sample is the first position of a sequence of
    its own: samples are independent.

    Attributes:
        sequences: the world.
    """

    sequences: TopicsAndTokens

    __repr__ = of_fields

    @property
    def n_features(self) -> int:
        return self.sequences.n_features

    @property
    def d_model(self) -> int:
        return self.sequences.d_model

    @property
    def directions(self) -> Float[Array, "feature d_model"]:
        return self.sequences.directions

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` independent samples."""
        first = replace(self.sequences, n_positions=1).sample(key, batch_size)
        return Batch(first.x[:, 0], first.features[:, 0])

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> Batch:
        """The samples of `sample` under the same key, one feature forced to `value`."""
        return force(self.sample(key, batch_size), self.directions, feature, value)
