"""The stream where a prompt lists the connections, as worlds for dictionaries.

A slot of the list is `a <--> b ;`. At b, and after it at `;`, a model can know which
connection it has just read: at most one of 2n(n - 1) features is on. Where a model puts it
together is not known beforehand, so both places are looked at, at every site.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from synthetic.maze import MazeGame
from synthetic.stored import Stored
from toymodels.transformer import Transformer

PLACES = {"second cell": 2, "semicolon": 3}  # within the four tokens of a slot


class Listed(NamedTuple):
    """Attributes:
    x: the stream at every place of `PLACES` and every site.
    connection: which connection the slot holds; none in an empty one.
    """

    x: Float[Array, "place site maze slot d_model"]
    connection: Bool[Array, "maze slot connection"]

    def rows(self, place: int, site: int) -> Stored:
        """One place and site; slots of one maze follow each other. A feature is the
        connection that the slot holds.
        """
        x = self.x[place, site]
        flat = self.connection.reshape(-1, self.connection.shape[-1])
        return Stored(x.reshape(-1, x.shape[-1]), flat)


class Scaling(NamedTuple):
    """What `scaled` takes from a stream, from a training sample.

    Attributes:
        mean: over mazes, so that what a slot's position says is gone.
        size: root of the mean square that is left, one number a place and site.
    """

    mean: Float[Array, "place site 1 slot d_model"]
    size: Float[Array, "place site 1 1 1"]


@partial(jax.jit, static_argnames="n_mazes")
def read(key: Key[Array, ""], model: Transformer, game: MazeGame, n_mazes: int) -> Listed:
    """The stream of fresh mazes of a game at all their slots."""
    drawn = game.sample(key, n_mazes)
    residual = model(drawn.tokens).residual
    first, stop = game.layout.slots.start, game.layout.slots.stop
    x = [residual[:, :, first + offset : stop : 4] for offset in PLACES.values()]
    slots = drawn.listing.connection
    connection = slots[..., None] == jnp.arange(drawn.labels.connection.shape[-1])
    return Listed(jnp.stack(x), connection)


@partial(jax.jit, static_argnames="n_mazes")
def words(key: Key[Array, ""], game: MazeGame, n_mazes: int) -> Stored:
    """The word at b, one-hot, in place of a stream: what a slot says without any model.

    A latent that is on where b is a cell of d connections, all listed as often and half the
    time with b second, has an F1 of 2 / (2 + d) for each of them. With the better end of
    each connection that is 0.47, 0.42 and 0.40 on average on 3 x 3, 4 x 4 and 5 x 5 cells.
    For one key these are the mazes of `read`.
    """
    drawn = game.sample(key, n_mazes)
    slots = drawn.listing.connection
    first = game.layout.slots.start + PLACES["second cell"]
    x = jax.nn.one_hot(
        drawn.tokens[:, first : game.layout.slots.stop : 4], game.n_words, dtype=jnp.float32
    )
    connection = slots[..., None] == jnp.arange(drawn.labels.connection.shape[-1])
    return Stored(*(part.reshape(-1, part.shape[-1]) for part in (x, connection)))


def scaling(listed: Listed) -> Scaling:
    """That gives each slot a mean of 0 and each place and site a mean square of 1."""
    mean = listed.x.mean(axis=2, keepdims=True)
    left = jnp.square(listed.x - mean).mean(axis=(2, 3, 4), keepdims=True)
    return Scaling(mean, jnp.sqrt(left + 1e-12))


def scaled(listed: Listed, by: Scaling) -> Listed:
    """The rows around the mean of their slot, in units of `size`."""
    return listed._replace(x=(listed.x - by.mean) / by.size)


def redrawn(key: Key[Array, ""], model: Transformer) -> Transformer:
    """A model with Gaussian weights that has the mean and deviation of every array: what
    the architecture finds without having learned, at the size of trained weights.
    """
    leaves, structure = jax.tree.flatten(model)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        leaf.mean() + leaf.std() * jax.random.normal(k, leaf.shape, leaf.dtype)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)
