"""Activations of a trained model as a world of their own: x is what the model holds."""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from synthetic.base import Batch, GroundTruth
from synthetic.directions import unit_rows
from synthetic.shapes import of_fields
from synthetic.validation import require_width
from toymodels.superposition import Params


@struct.dataclass
class Hidden:
    """The hidden layer of a toy model of superposition, fed by a world.

    x = features W, so feature i is written along row W_i and its true value as a
    coefficient of the unit direction is features_i ||W_i||.

    Attributes:
        world: makes the features.
        params: of the trained `superposition.Bottleneck`.
    """

    world: GroundTruth
    params: Params

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.params.W, "ndim", 0) >= 2:
            require_width(
                "the number of rows of W",
                self.params.W.shape[-2],
                self.world.n_features,
                "the model was trained on another world",
            )

    @property
    def n_features(self) -> int:
        return self.world.n_features

    @property
    def d_model(self) -> int:
        return self.params.W.shape[-1]

    @property
    def directions(self) -> Float[Array, "feature d_model"]:
        """Unit rows; a feature that the model dropped has a row of (nearly) no meaning."""
        return unit_rows(self.params.W)

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """Samples of the world, seen through the model."""
        features = self.world.sample(key, batch_size).features
        scale = jnp.linalg.norm(self.params.W, axis=-1)
        return Batch(features @ self.params.W, features * scale)
