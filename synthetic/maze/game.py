"""The maze game: sequences of tokens with the exact distribution of every next step.

A path is drawn by lot among the shortest ones, step by step, so that where several moves
lead nearer to the target the next token has several answers, all equally likely. The game
tells that distribution, not only the token that came. Everything is made inside `jit` from
a key.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key

from synthetic.maze import labels, lattice, solve, tokens
from synthetic.maze.generate import Law
from synthetic.maze.labels import Labels, TokenLabels
from synthetic.maze.lattice import Connections, Maze
from synthetic.maze.tokens import FIRST_CELL, PADDING, PATH_START, Layout, Listing
from synthetic.validation import require_range, require_width


class Sequences(NamedTuple):
    """What a transformer is trained on, with its answer key.

    The loss is sum(weights * cross_entropy(targets, logits)) / sum(weights), where the
    logits at token t are about token t + 1. Its least value is `entropy_floor`.

    Attributes:
        tokens: [batch, token].
        targets: [batch, token, word], the distribution of the next token; for tokens of
            the prompt and for padding, the one that comes.
        weights: [batch, token], of the next token: 1 in the path and its end, the game's
            `prompt_weight` in the prompt, 0 for padding and in mazes without a way.
        maze: the mazes.
        listing: the order in which the prompt lists connections.
        labels: what is true of every maze.
        token_labels: what is true at every token.
    """

    tokens: Int[Array, "batch token"]
    targets: Float[Array, "batch token word"]
    weights: Float[Array, "batch token"]
    maze: Maze
    listing: Listing
    labels: Labels
    token_labels: TokenLabels


@struct.dataclass
class MazeGame:
    """Mazes of a law, their ends, a path and a prompt; build it by `of`.

    Attributes:
        law: the distribution of mazes. Exchange it with `replace(law=...)`: the layout
            stays, so that a model meets other mazes in the sequences that it knows.
        layout: static.
        prompt_weight: the weight of a token of the prompt in the loss, beside 1 for one of
            the path; a leaf.
        min_steps: shortest paths have at least so many steps, where a maze has such; a
            leaf.
        max_steps: and at most so many; a leaf.
    """

    law: Law
    layout: Layout = struct.field(pytree_node=False)
    prompt_weight: ArrayLike = 0.1
    min_steps: ArrayLike = 1
    max_steps: ArrayLike = solve.FAR

    def __post_init__(self):
        if hasattr(self.law, "size"):
            fix = "build the game with MazeGame.of, or the law with this size"
            require_width("the size of the layout", self.layout.size, self.law.size, fix)
            require_range(
                "the number of connections of the law",
                self.law.max_connections,
                high=self.layout.n_listed,
                fix="give MazeGame.of more slots (n_listed)",
            )
        require_range("prompt_weight", self.prompt_weight, 0, fix="it weighs a loss")
        require_range("min_steps", self.min_steps, 1, fix="origin and target differ")
        require_range("max_steps", self.max_steps, 1, fix="origin and target differ")

    @classmethod
    def of(
        cls,
        law: Law,
        n_listed: int | None = None,
        n_path: int | None = None,
        **settings: ArrayLike,
    ) -> "MazeGame":
        """A game with room for all connections and paths of a law.

        Args:
            law: the distribution of mazes.
            n_listed: slots for connections; give more to exchange the law later.
            n_path: slots for cells of the path. With fewer than n^2, ends are drawn so that
                the path fits.
            settings: `prompt_weight`, `min_steps`, `max_steps`.
        """
        n_listed = law.max_connections if n_listed is None else n_listed
        n_path = law.size**2 if n_path is None else n_path
        return cls(law, Layout(law.size, n_listed, n_path), **settings)

    @property
    def n_words(self) -> int:
        """The size of the vocabulary."""
        return self.layout.n_words

    @property
    def n_tokens(self) -> int:
        """The length of a sequence."""
        return self.layout.n_tokens

    def sample(self, key: Key[Array, ""], batch_size: int) -> Sequences:
        """`batch_size` independent sequences; a pure function of `key`."""
        key_write, *drawn = self._draw(key, batch_size)
        return self.write(key_write, *drawn)

    def do(
        self,
        key: Key[Array, ""],
        batch_size: int,
        connection: Int[ArrayLike, "*batch"],
        is_open: ArrayLike,
    ) -> Sequences:
        """The mazes of `sample` under the same key, one connection each forced.

        Ends are equal, and so is the prompt but for that connection; the path is one of the
        new maze. Where a closed connection cuts off the target, the path is the origin
        alone and all weights of the sequence are 0.

        Args:
            key: that of the sample.
            batch_size: that of the sample.
            connection: the number of the connection, one for all mazes or one for each.
            is_open: True opens it, False closes it, likewise.

        Raises:
            ValueError: the layout has no slot for one connection more than the law's mazes
                have.
        """
        room = min(self.law.max_connections + 1, lattice.n_connections(self.layout.size))
        fix = "give MazeGame.of one slot more (n_listed)"
        require_range("n_listed", self.layout.n_listed, room, fix=fix)
        most = lattice.n_connections(self.layout.size) - 1
        require_range("connection", connection, 0, most, "it is a number")
        key_write, connections, origin, target = self._draw(key, batch_size)
        number = jnp.broadcast_to(connection, (batch_size,))
        is_open = jnp.broadcast_to(is_open, (batch_size,))[:, None]
        forced = lattice.with_connection(connections, number, is_open)
        return self.write(key_write, forced, origin, target)

    def _draw(self, key: Key[Array, ""], batch_size: int):
        key_maze, key_ends, key_write = jax.random.split(key, 3)
        connections = self.law.draw(key_maze, batch_size)
        most = jnp.minimum(self.max_steps, self.layout.n_path - 1)
        least = jnp.minimum(self.min_steps, most)
        ends = solve.draw_ends(key_ends, connections, least, most)
        return key_write, connections, *ends

    def write(
        self,
        key: Key[Array, ""],
        connections: Connections,
        origin: Int[Array, " batch"],
        target: Int[Array, " batch"],
    ) -> Sequences:
        """The sequences of given mazes and ends.

        Weights are 0 where there is no way from origin to target, and NaN where the layout
        has too few slots for the list or the path, so that a loss tells of it.
        """
        key_path, key_list = jax.random.split(key)
        listing = tokens.draw_listing(key_list, connections, self.layout.n_listed)
        maze = solve.solve(key_path, connections, origin, target, self.layout.n_path)
        return self.describe(maze, listing)

    def describe(self, maze: Maze, listing: Listing) -> Sequences:
        """The sequences of given mazes, paths and listings; draws nothing."""
        words = tokens.write(self.layout, listing, maze)
        truth = labels.of_maze(maze)
        at_tokens = labels.at_tokens(self.layout, listing, maze)
        weights = _weights(self.layout, words, self.prompt_weight)
        return Sequences(
            tokens=words,
            targets=_targets(self.layout, words, at_tokens),
            weights=weights * _worth(truth, listing, maze)[:, None],
            maze=maze,
            listing=listing,
            labels=truth,
            token_labels=at_tokens,
        )


def _following(words: Int[Array, "batch token"]) -> Int[Array, "batch token"]:
    return jnp.pad(words[:, 1:], ((0, 0), (0, 1)), constant_values=PADDING)


def _targets(
    layout: Layout, words: Int[Array, "batch token"], at_tokens: TokenLabels
) -> Float[Array, "batch token word"]:
    around = jnp.asarray(lattice.neighbours(layout.size))
    path = slice(layout.first_step, layout.first_step + layout.n_path)
    best = at_tokens.best[:, path].astype(jnp.float32)
    here = jnp.maximum(words[:, path] - FIRST_CELL, 0)
    reached = jax.nn.one_hot(FIRST_CELL + around[here], layout.n_words, dtype=jnp.float32)
    steps = (best[..., None] * reached).sum(-2)
    n_best = best.sum(-1, keepdims=True)
    steps = steps / jnp.maximum(n_best, 1)
    came = jax.nn.one_hot(_following(words), layout.n_words, dtype=jnp.float32)
    return came.at[:, path].set(jnp.where(n_best > 0, steps, came[:, path]))


def _worth(truth: Labels, listing: Listing, maze: Maze) -> Float[Array, " batch"]:
    """1, 0 where there is no way, NaN where list or path do not fit."""
    n_listed, n_cells = (listing.connection >= 0).sum(-1), (maze.path >= 0).sum(-1)
    steps = jnp.take_along_axis(truth.distance, maze.origin[:, None], axis=1)[:, 0]
    has_way = steps >= 0
    cut = (n_listed < truth.connection.sum(-1)) | (has_way & (n_cells <= steps))
    return jnp.where(cut, jnp.nan, has_way.astype(jnp.float32))


def _weights(
    layout: Layout, words: Int[Array, "batch token"], prompt_weight: ArrayLike
) -> Float[Array, "batch token"]:
    in_prompt = jnp.arange(words.shape[1]) < layout.path_start
    weight = jnp.where(in_prompt, jnp.asarray(prompt_weight, jnp.float32), 1)
    return jnp.where(_following(words) == PADDING, 0, weight)


def entropy_floor(sequences: Sequences) -> Float[Array, ""]:
    """The entropy of the next step, averaged over the tokens of paths, in nats.

    No model has a lower loss on the path (`path_weights`).
    """
    targets, weights = sequences.targets, path_weights(sequences)
    entropy = -jnp.sum(jax.scipy.special.xlogy(targets, targets), axis=-1)
    return jnp.sum(weights * entropy) / jnp.sum(weights)


def path_weights(sequences: Sequences) -> Float[Array, "batch token"]:
    """1 where the next token is one of the path or its end, else 0."""
    started = jnp.cumsum(sequences.tokens == PATH_START, axis=1) > 0
    return (started & (_following(sequences.tokens) != PADDING)).astype(jnp.float32)
