"""Attention heads that look along open connections, and what the next step owes to them.

Ivanitskiy et al. 2023 (arXiv 2312.02566) found a head whose attention, from the cell where
the path is, goes to the cells that can be reached from it in one step. Here that is a
number for every head, with the number that a head without any preference would have.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from synthetic.maze import MazeGame, Sequences, lattice
from synthetic.maze.tokens import FIRST_CELL
from toymodels.transformer import Transformer, site


class Neighbours(NamedTuple):
    """Mean attention from the cell of the path to neighbouring cells; [layer, head].

    Attributes:
        open: to a cell that can be reached in one step.
        walled: to a cell behind a wall.
        uniform_open, uniform_walled: the same of a head that looks at all tokens alike; a
            cell with more connections is named more often, so that they differ.
    """

    open: Float[np.ndarray, "layer head"]
    walled: Float[np.ndarray, "layer head"]
    uniform_open: float
    uniform_walled: float

    @property
    def score(self) -> Float[np.ndarray, "layer head"]:
        """open - walled."""
        return self.open - self.walled

    @property
    def null(self) -> float:
        """The score of uniform attention."""
        return self.uniform_open - self.uniform_walled


class Steps(NamedTuple):
    """Shares of steps, the true path before them given.

    Attributes:
        legal: the likeliest word is a cell that can be reached in one step.
        best: it is also nearer to the target.
    """

    legal: Array
    best: Array


def neighbours(
    key: Key[Array, ""], model: Transformer, game: MazeGame, n_mazes: int = 512
) -> Neighbours:
    """Attention from the cells of fresh paths, but the last, to tokens that name a cell.

    The attention on a cell is the sum over all earlier tokens that name it. It is averaged
    over the open neighbours of all steps, and over the walled ones.
    """

    @jax.jit
    def measure(model, game, key):
        drawn = game.sample(key, n_mazes)
        residual = model(drawn.tokens).residual
        found = [
            _to_neighbours(game, drawn, model.attention(residual[2 * layer], layer)[0])
            for layer in range(model.n_layers)
        ]
        n = drawn.tokens.shape[1]
        alike = jnp.tri(n, dtype=jnp.float32) / jnp.arange(1, n + 1)[:, None]
        alike = jnp.broadcast_to(alike, (n_mazes, 1, n, n))
        return jnp.stack(found), _to_neighbours(game, drawn, alike)

    found, alike = jax.device_get(measure(model, game, key))
    return Neighbours(found[:, 0], found[:, 1], float(alike[0, 0]), float(alike[1, 0]))


def _to_neighbours(
    game: MazeGame, drawn: Sequences, pattern: Float[Array, "batch head query key"]
) -> Float[Array, "2 head"]:
    """The mean attention on open neighbours, and on walled ones."""
    layout = game.layout
    path = slice(layout.first_step, layout.first_step + layout.n_path)
    names = jax.nn.one_hot(drawn.tokens - FIRST_CELL, layout.size**2, dtype=jnp.float32)
    on_cell = jnp.einsum("bhqk,bkc->bhqc", pattern[:, :, path], names)
    around = jnp.asarray(lattice.neighbours(layout.size))
    here = jnp.maximum(drawn.tokens[:, path] - FIRST_CELL, 0)
    beside = jnp.take_along_axis(on_cell, around[here][:, None], axis=-1)
    goes_on = leaves(game, drawn)[..., None]
    legal = drawn.token_labels.legal[:, path]
    chosen = goes_on & jnp.stack([legal, ~legal]) & (around[here] >= 0)
    total = jnp.einsum("kbqm,bhqm->kh", chosen.astype(jnp.float32), beside)
    return total / chosen.sum((1, 2, 3))[:, None]


def leaves(game: MazeGame, drawn: Sequences) -> Bool[Array, "batch slot"]:
    """Which slots of the path hold a cell that is not the last one."""
    later = jnp.pad(drawn.maze.path[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
    return later >= 0


def steps(game: MazeGame, drawn: Sequences, logits: Array) -> Steps:
    """How good the likeliest next words are, over all cells of paths but the last."""
    layout = game.layout
    path = slice(layout.first_step, layout.first_step + layout.n_path)
    around = jnp.asarray(lattice.neighbours(layout.size))
    here = jnp.maximum(drawn.tokens[:, path] - FIRST_CELL, 0)
    likeliest = jnp.argmax(logits[:, path], axis=-1) - FIRST_CELL
    goes = around[here] == likeliest[..., None]
    counts = leaves(game, drawn)

    def share(moves):
        return jnp.sum(counts & (goes & moves).any(-1)) / jnp.sum(counts)

    return Steps(
        share(drawn.token_labels.legal[:, path]), share(drawn.token_labels.best[:, path])
    )


def ablated(
    key: Key[Array, ""], model: Transformer, game: MazeGame, n_mazes: int = 512
) -> tuple[Steps, Steps]:
    """The next steps of the model as it is, and with each head silenced, [layer, head].

    At every token of the path the head writes the mean, over mazes and such tokens, of
    what it writes there: what it knows of this maze is lost. In the prompt it works on.
    """

    @jax.jit
    def measure(model, game, key):
        drawn = game.sample(key, n_mazes)
        whole = model(drawn.tokens)
        used = _walked(game, drawn)[..., None]
        found = []
        for layer in range(model.n_layers):
            written = model.attention(whole.residual[2 * layer], layer)[1]

            def without(head, where=site(layer, "attention"), written=written):
                by_head = written[:, :, head]
                mean = jnp.sum(used * by_head, axis=(0, 1)) / jnp.sum(used)
                delta = used * (by_head - mean)
                logits = model(drawn.tokens, {where: lambda x: x - delta}).logits
                return steps(game, drawn, logits)

            heads = jnp.arange(written.shape[2])
            found.append(jax.lax.map(without, heads))
        silenced = jax.tree.map(lambda *leaf: jnp.stack(leaf), *found)
        return steps(game, drawn, whole.logits), silenced

    return jax.device_get(measure(model, game, key))


def _walked(game: MazeGame, drawn: Sequences) -> Bool[Array, "batch token"]:
    """Which tokens are cells of the path."""
    place = jnp.arange(drawn.tokens.shape[1])
    return (place >= game.layout.first_step) & (drawn.tokens >= FIRST_CELL)
