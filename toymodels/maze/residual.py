"""The residual stream of a transformer that solves mazes, as a world."""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.base import Batch
from synthetic.maze import MazeGame, features, lattice
from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.transformer import Transformer


@struct.dataclass
class MazeResidual:
    """x is the stream at one site and one token, features are the maze's connections.

    A probe that reads them there reads the whole maze from one place, though each
    connection was told at another. At site 0, the embedding, every token that mazes share
    (<PATH_START>, for one) is the same vector: a probe there knows how often each
    connection is open and no more.

    Raises:
        ValueError: the site or the token does not exist.

    Attributes:
        game: makes the mazes.
        model: reads them; trained, or as it starts for a control.
        token: the place in the sequence, such as `game.layout.path_start`.
        site: of the stream, as in `transformer.site`; static.
        untrained: the model before training, with which scores measure a floor; None
            leaves that floor out.
    """

    game: MazeGame
    model: Transformer
    token: Int[ArrayLike, ""]
    site: int = struct.field(pytree_node=False, default=0)
    untrained: Transformer | None = None

    __repr__ = of_fields

    def __post_init__(self):
        if isinstance(self.model, Transformer):
            fix = "0 is the embedding; transformer.site counts the others"
            require_range("site", self.site, 0, self.model.n_sites - 1, fix)
            fix = "the layout of the game says where everything is"
            require_range("token", self.token, 0, self.game.n_tokens - 1, fix)

    @property
    def slots(self) -> int:
        """Rows of each maze."""
        return 1

    @property
    def n_features(self) -> int:
        return lattice.n_connections(self.game.layout.size)

    @property
    def d_model(self) -> int:
        return self.model.d_model

    @property
    def names(self) -> list[str]:
        """Of the features."""
        return features.names(self.game.layout.size, "maze")[: self.n_features]

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` mazes."""
        require_range("batch_size", batch_size, low=1, fix="an empty batch has no data")
        x, present = self.streams(key, batch_size)
        return Batch(x[self.site], present)

    def streams(
        self, key: Key[Array, ""], n_games: int
    ) -> tuple[Float[Array, "site row d_model"], Float[Array, "row feature"]]:
        """The stream at every site, and the features; one row of each maze."""
        drawn = self.game.sample(key, n_games)
        present = drawn.labels.connection.astype(jnp.float32)
        return self.model(drawn.tokens).residual[:, :, self.token], present
