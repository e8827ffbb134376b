"""The same features in several models, some of which lack some of them."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Bool, Float, Key

from synthetic.base import Batch
from synthetic.directions import orthogonal, random
from synthetic.firing import Firing
from synthetic.magnitude import Magnitude, Uniform
from synthetic.noise import force
from synthetic.shapes import of_fields
from synthetic.validation import require_width


@struct.dataclass
class Views:
    """Several models' activations on the same inputs: x [batch, source, d_model].

    x_s = sum_i a_i d_si, with the same a for all sources s. A source that lacks feature i
    has d_si = 0.

    Raises:
        ValueError: directions and law count features differently.

    Attributes:
        directions: [source, feature, d_model], rows of length 1, or 0 where a source lacks
            the feature.
        firing: which features are active.
        magnitude: how strong an active feature is.
    """

    directions: Array
    firing: Firing
    magnitude: Magnitude = Uniform()

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.directions, "ndim", 0) == 3:
            require_width(
                "the number of rows of directions",
                self.n_features,
                self.firing.n_features,
                "directions is [source, feature, d_model], with one law for all sources",
            )

    @property
    def n_sources(self) -> int:
        return self.directions.shape[-3]

    @property
    def n_features(self) -> int:
        return self.directions.shape[-2]

    @property
    def d_model(self) -> int:
        return self.directions.shape[-1]

    @property
    def has(self) -> Bool[Array, "source feature"]:
        """Which features each source has."""
        return jnp.any(self.directions != 0, axis=-1)

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` independent samples, each seen by every source."""
        draw = self.firing.draw(key, batch_size)
        features = jnp.where(draw.fires, self.magnitude.from_level(draw.level), 0)
        return Batch(jnp.einsum("bf,sfd->bsd", features, self.directions), features)

    def do(
        self, key: Key[Array, ""], batch_size: int, feature: int, value: ArrayLike
    ) -> Batch:
        """The samples of `sample` under the same key, one feature forced to `value` in
        every source that has it.
        """
        by_feature = jnp.moveaxis(self.directions, -3, -2)
        return force(self.sample(key, batch_size), by_feature, feature, value)


def shared_and_own(
    key: Key[Array, ""], n_shared: int, n_own: int, d_model: int, n_sources: int = 2
) -> Float[Array, "source feature d_model"]:
    """Directions of features that all sources share, then `n_own` of each source alone.

    A source's directions are orthonormal where they fit and random otherwise, and tell
    nothing about those of another source.
    """
    draw = orthogonal if n_shared + n_own <= d_model else random
    keys = jax.random.split(key, n_sources)
    rows = jax.vmap(lambda key: draw(key, n_shared + n_own, d_model))(keys)
    shared, own = rows[:, :n_shared], rows[:, n_shared:]
    alone = jnp.einsum("st,snd->stnd", jnp.eye(n_sources, dtype=own.dtype), own)
    alone = alone.reshape(n_sources, n_sources * n_own, d_model)
    return jnp.concatenate([shared, alone], axis=1)
