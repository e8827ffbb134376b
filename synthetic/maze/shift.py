"""Other mazes for the same model: smaller ones in a larger lattice.

A transformer's vocabulary and layout belong to one size of the lattice. With `Within`,
mazes of other sizes are written in them: train on 5 by 5 cells in a lattice of 7 by 7, test
on all of it. `MazeGame.replace(law=...)` exchanges the law, `min_steps` and `max_steps` the
lengths of paths.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Key

from synthetic.maze import lattice
from synthetic.maze.generate import Law
from synthetic.validation import require_range


@struct.dataclass
class Within:
    """Mazes of a law somewhere in a larger lattice; cells outside have no connections.

    Attributes:
        law: the law of the smaller mazes.
        size: of the lattice; static.
        row: where the upper row of the smaller maze is; a leaf. None draws it, uniformly.
        column: where its left column is, likewise.
    """

    law: Law
    size: int = struct.field(pytree_node=False)
    row: ArrayLike | None = 0
    column: ArrayLike | None = 0

    def __post_init__(self):
        lattice.require_size(self.size)
        if hasattr(self.law, "size"):
            fix = "the law's mazes lie within the lattice"
            require_range("size", self.size, self.law.size, lattice.LARGEST, fix)
            for name in ("row", "column"):
                place = getattr(self, name)
                require_range(name, place, 0, self.size - self.law.size, fix)

    @property
    def max_connections(self) -> int:
        return self.law.max_connections

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        key_law, key_row, key_column = jax.random.split(key, 3)
        small = self.law.draw(key_law, batch_size)
        row = self._places(key_row, self.row, batch_size)
        column = self._places(key_column, self.column, batch_size)
        empty = jnp.zeros((2, self.size, self.size), bool)

        def placed(small, row, column):
            return lax.dynamic_update_slice(empty, small, (jnp.int32(0), row, column))

        return jax.vmap(placed)(small, row, column)

    def _places(self, key: Key[Array, ""], place: ArrayLike | None, n: int) -> Array:
        if place is None:
            return jax.random.randint(
                key, (n,), 0, self.size - self.law.size + 1, jnp.int32
            )
        return jnp.broadcast_to(jnp.asarray(place, jnp.int32), (n,))
