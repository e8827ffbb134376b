"""The sparse world: x = sum_i a_i d_i + bias + noise, with known directions d_i."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic import directions as sets_of_directions
from synthetic.base import Batch, Pairs, to_dense, to_pairs
from synthetic.firing import Firing, Independent
from synthetic.firing.active import ActiveFiring, of_active
from synthetic.magnitude import Circle, Magnitude, Uniform
from synthetic.noise import add_noise, force, require_noise, weighted_sum
from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_width


@struct.dataclass
class SparseFeatures:
    """Sparse sums of known directions. Every field is a pytree of leaves.

    Raises:
        ValueError: directions and law count features differently, a negative noise, or a
            magnitude of pairs with a law that draws active features alone.

    Attributes:
        directions: [feature, d_model], rows.
        firing: which features are active; `Independent` of one number is that
            probability for every feature.
        magnitude: how strong an active feature is.
        bias: [d_model] or a number, added to every sample.
        noise: standard deviation of isotropic normal noise, or a matrix [source, d_model]
            for noise of that structure (`noise.add_noise`); None draws none.
    """

    directions: Array
    firing: Firing
    magnitude: Magnitude = Uniform()
    bias: ArrayLike = 0.0
    noise: ArrayLike | None = None

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.directions, "ndim", 0) >= 2:
            if isinstance(self.firing, Independent):
                law = self.firing.broadcast(self.directions.shape[:-1])
                object.__setattr__(self, "firing", law)  # the class is frozen
            require_width(
                "the number of rows of directions",
                self.n_features,
                self.firing.n_features,
                "give one direction and one firing probability per feature",
            )
        if isinstance(self.magnitude, Circle) and isinstance(self.firing, ActiveFiring):
            raise ValueError(
                f"magnitude is Circle with the law {type(self.firing).__name__}, expected "
                "one that draws every feature, for a pair needs the levels of both; use "
                "sets.CorrelatedSets of size 2"
            )
        require_noise(self.noise)

    @classmethod
    def of_features(
        cls, firing: Firing, magnitude: Magnitude = Uniform()
    ) -> "SparseFeatures":
        """The features themselves: x = features, the input of a toy model."""
        return cls(jnp.eye(firing.n_features, dtype=jnp.float32), firing, magnitude)

    @classmethod
    def random(
        cls,
        key: Key[Array, ""],
        n_features: int = 64,
        d_model: int = 32,
        probability: ArrayLike = 0.04,
        magnitude: Magnitude = Uniform(),
        bias: ArrayLike = 0.0,
        noise: ArrayLike | None = None,
    ) -> "SparseFeatures":
        """Features along random unit directions (`directions.random`) that fire
        independently, each with its `probability`: one number for all, or [feature].
        """
        rows = sets_of_directions.random(key, n_features, d_model)
        return cls(rows, Independent(jnp.asarray(probability)), magnitude, bias, noise)

    @property
    def n_features(self) -> int:
        return self.directions.shape[-2]

    @property
    def d_model(self) -> int:
        return self.directions.shape[-1]

    @property
    def parents(self) -> Array:
        """[feature], the index of each feature's parent, -1 where it has none."""
        none = jnp.full(self.directions.shape[:-1], -1, jnp.int32)
        return getattr(self.firing, "parents", none)

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` independent samples; a pure function of `key`."""
        if isinstance(self.firing, ActiveFiring):
            x, pairs = self._sample_active(self.firing, key, batch_size)
            return Batch(x, to_dense(pairs, self.n_features))
        key_features, key_noise = jax.random.split(key)
        _require_samples(batch_size)
        draw = self.firing.draw(key_features, batch_size)
        features = jnp.where(draw.fires, self.magnitude.from_level(draw.level), 0)
        x = features @ self.directions + jnp.asarray(self.bias, self.directions.dtype)
        return Batch(add_noise(key_noise, x, self.noise), features)

    def sample_pairs(
        self, key: Key[Array, ""], batch_size: int, slots: int | None = None
    ) -> tuple[Float[Array, "batch d_model"], Pairs]:
        """The samples of `sample`, their features as (index, value) pairs.

        A law that draws active features alone (`synthetic.firing.active`) has its own
        slots and never builds an array of [batch, feature]; others need `slots`, the most
        features in a sample. Where there are more, values are NaN.
        """
        if isinstance(self.firing, ActiveFiring):
            return self._sample_active(self.firing, key, batch_size)
        if slots is None:
            raise ValueError(
                f"slots is None, expected a number for {type(self.firing).__name__}; give "
                "the most features that are active in a sample"
            )
        batch = self.sample(key, batch_size)
        return batch.x, to_pairs(batch.features, slots)

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> Batch:
        """The samples of `sample` under the same key, one feature forced to `value`.

        Everything else is equal: the other features, children of the forced one included,
        and the noise. The value 0 switches the feature off.
        """
        return force(self.sample(key, batch_size), self.directions, feature, value)

    def _sample_active(self, firing: ActiveFiring, key, batch_size: int):
        key_features, key_noise = jax.random.split(key)
        _require_samples(batch_size)
        active = firing.draw_active(key_features, batch_size)
        failed = jnp.isnan(active.level)
        value = jnp.where(active.used, of_active(self.magnitude, active), 0)
        pairs = Pairs(active.index, jnp.where(failed, jnp.nan, value))
        x = weighted_sum(pairs, self.directions) + jnp.asarray(
            self.bias, self.directions.dtype
        )
        return add_noise(key_noise, x, self.noise), pairs


def _require_samples(batch_size: int) -> None:
    require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
