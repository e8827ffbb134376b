"""Rows that were made elsewhere, as a world: activations with what is true of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Key

from synthetic.base import Batch
from synthetic.shapes import of_fields
from synthetic.stored.foreign import as_numpy
from synthetic.validation import require_finite, require_range, require_width

_UNIT = 1e-3  # what half precision leaves of a length of 1


@struct.dataclass
class Stored:
    """Stored samples; a batch takes rows at random, with replacement.

    A row may then come twice, in one batch too: scores on more samples than are stored tell
    no more than the stored ones do.

    Attributes:
        x: [row, d_model].
        features: [row, feature], numbers or booleans; samples have the dtype of x.
        directions: [feature, d_model], rows of length 1 (or 0 for a feature without a
            direction); None where they are not known. Scores of recovery need them.
    """

    x: Array
    features: Array
    directions: Array | None = None

    __repr__ = of_fields

    @classmethod
    def of_arrays(cls, x: Any, features: Any, directions: Any = None) -> "Stored":
        """The world of arrays from anywhere: NumPy, PyTorch, lists of numbers.

        Real numbers become float32; `features` may stay boolean.

        Raises:
            ValueError: the arrays do not belong together, hold no row, NaN or infinity, or
                a direction does not have a length of 1 or 0.
        """
        x, features = _table("x", x), _table("features", features)
        fix = "row i of both is the same sample"
        require_width("the number of rows of x", len(x), len(features), fix)
        require_range("the number of rows", len(x), low=1, fix="a world needs samples")
        if directions is not None:
            directions = _table("directions", directions)
            shape, fix = (features.shape[1], x.shape[1]), "directions are rows"
            require_width("the number of directions", len(directions), shape[0], fix)
            require_width("the width of directions", directions.shape[1], shape[1], fix)
            _require_unit(directions)
            directions = jnp.asarray(directions)
        return cls(jnp.asarray(x), jnp.asarray(features), directions)

    @property
    def n_rows(self) -> int:
        return self.x.shape[-2]

    @property
    def n_features(self) -> int:
        return self.features.shape[-1]

    @property
    def d_model(self) -> int:
        return self.x.shape[-1]

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` of the rows, each drawn from all."""
        chosen = jax.random.randint(key, (batch_size,), 0, self.n_rows, jnp.int32)
        return Batch(self.x[chosen], self.features[chosen].astype(self.x.dtype))


def _table(name: str, value: Any) -> np.ndarray:
    table = as_numpy(value)
    if table.ndim != 2 or table.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} has shape {table.shape} and dtype {table.dtype}, expected numbers "
            "[row, column]; flatten positions of sequences into rows first"
        )
    require_finite(name, table)
    keeps = table.dtype == bool and name == "features"
    return table if keeps else table.astype(np.float32)


def _require_unit(directions: np.ndarray) -> None:
    length = np.linalg.norm(directions, axis=1)
    wrong = np.flatnonzero((np.abs(length - 1) > _UNIT) & (length != 0))
    if wrong.size:
        raise ValueError(
            f"direction {wrong[0]} has length {length[wrong[0]]:.4g}, expected 1 or 0; "
            "divide each by its length and multiply the column of features by it"
        )
