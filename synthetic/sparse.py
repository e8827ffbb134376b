"""The sparse world: x = sum_i a_i d_i + bias + noise, with known directions d_i."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.base import Batch, Pairs, to_pairs
from synthetic.firing import Firing
from synthetic.magnitude import Magnitude, Uniform
from synthetic.validation import require_range, require_width


@struct.dataclass
class SparseFeatures:
    """Sparse sums of known directions. Every field is a pytree of leaves.

    Attributes:
        directions: [feature, d_model], rows.
        firing: which features are active.
        magnitude: how strong an active feature is.
        bias: [d_model] or a number, added to every sample.
        noise: standard deviation of isotropic normal noise; None draws none.
    """

    directions: Array
    firing: Firing
    magnitude: Magnitude = Uniform()
    bias: ArrayLike = 0.0
    noise: ArrayLike | None = None

    def __post_init__(self):
        if getattr(self.directions, "ndim", 0) >= 2:
            require_width(
                "the number of rows of directions",
                self.n_features,
                self.firing.n_features,
                "give one direction and one firing probability per feature",
            )
        if self.noise is not None:
            require_range("noise", self.noise, low=0.0, fix="it is a deviation")

    @classmethod
    def of_features(
        cls, firing: Firing, magnitude: Magnitude = Uniform()
    ) -> "SparseFeatures":
        """The features themselves: x = features, the input of a toy model."""
        return cls(jnp.eye(firing.n_features), firing, magnitude)

    @property
    def n_features(self) -> int:
        return self.directions.shape[-2]

    @property
    def d_model(self) -> int:
        return self.directions.shape[-1]

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` independent samples; a pure function of `key`."""
        key_features, key_noise = jax.random.split(key)
        return self._embed(key_noise, self._features(key_features, batch_size))

    def sample_pairs(
        self, key: Key[Array, ""], batch_size: int, slots: int
    ) -> tuple[Float[Array, "batch d_model"], Pairs]:
        """The samples of `sample`, their features as (index, value) pairs."""
        batch = self.sample(key, batch_size)
        return batch.x, to_pairs(batch.features, slots)

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> Batch:
        """The samples of `sample` under the same key, one feature forced to `value`.

        Everything else is equal: the other features and the noise. The value 0 switches
        the feature off.
        """
        require_range("feature", feature, 0, self.n_features - 1, "it is an index")
        key_features, key_noise = jax.random.split(key)
        features = self._features(key_features, batch_size)
        return self._embed(key_noise, features.at[:, feature].set(value))

    def _features(self, key, batch_size: int) -> Float[Array, "batch feature"]:
        require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
        draw = self.firing.draw(key, batch_size)
        return jnp.where(draw.fires, self.magnitude.from_level(draw.level), 0)

    def _embed(self, key, features: Float[Array, "batch feature"]) -> Batch:
        x = features @ self.directions + self.bias
        if self.noise is not None:
            x = x + self.noise * jax.random.normal(key, x.shape)
        return Batch(x, features)
