"""What a transformer makes of a maze: it reads the prompt and walks on by itself.

    tokens = write(lambda tokens: model(tokens).logits, layout, sequences.tokens)
    scores(layout, tokens, sequences.maze)

The walk is greedy, the likeliest word at every step, as in Ivanitskiy et al. 2023
(arXiv 2312.02566). "By itself" is what sets these scores apart from the accuracy of single
steps: a wrong step is never put right by the true path.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from synthetic import random
from synthetic.maze import MazeGame, solve
from synthetic.maze import tokens as words
from synthetic.maze.lattice import Maze
from synthetic.maze.tokens import PADDING, PATH_END, Layout
from toymodels.transformer import Transformer

Tokens = Int[Array, "batch token"]


def write(
    logits: Callable[[Tokens], Float[Array, "batch token word"]],
    layout: Layout,
    tokens: Tokens,
) -> Tokens:
    """The prompts of these sequences, and after them the likeliest words one by one.

    Args:
        logits: of the next word, at every token; a token may depend on those up to it.
        layout: of the sequences.
        tokens: what comes after the prompts does not matter.
    """
    start = layout.first_step
    prompts = tokens.at[:, start:].set(PADDING)

    def add(token, written):
        likeliest = jnp.argmax(logits(written)[:, token - 1], axis=-1)
        return written.at[:, token].set(likeliest.astype(written.dtype))

    return jax.lax.fori_loop(start, layout.n_tokens, add, prompts)


def scores(layout: Layout, tokens: Tokens, maze: Maze) -> dict[str, Float[Array, ""]]:
    """Shares of walks, by what is asked of them.

    valid: from the origin on, through no wall. reached: the target is the last cell, by
    whatever moves. solved: both. exact: solved by a shortest path, with <PATH_END> after
    it. What a model writes after its walk does not matter.

    Args:
        layout: of the sequences.
        tokens: with the walks.
        maze: what is true; its path does not matter.
    """
    walk = words.walk(layout, tokens)
    grade = solve.grade(maze, walk)
    after = layout.first_step + jnp.sum(walk >= 0, axis=-1, keepdims=True)
    last = jnp.take_along_axis(tokens, after, axis=-1, mode="fill", fill_value=PADDING)
    found = {
        "valid": grade.valid,
        "reached": grade.reaches,
        "solved": grade.valid & grade.reaches,
        "exact": grade.shortest & (last[:, 0] == PATH_END),
    }
    return {name: jnp.mean(value, dtype=jnp.float32) for name, value in found.items()}


def evaluate(
    key: Key[Array, ""],
    model: Transformer,
    game: MazeGame,
    n_mazes: int = 2048,
    block: int = 256,
) -> dict[str, float]:
    """The scores of a model on fresh mazes of a game, means over blocks of them.

    Whatever `key` is, no batch that `next_token.train` drew is among them: `random.named`
    sets them apart.
    """
    key = random.named(key, "maze_paths.evaluate")
    keys = jax.random.split(key, -(-n_mazes // block))
    found = [jax.device_get(_measured(block, game.layout, model, game, k)) for k in keys]
    return {name: float(sum(row[name] for row in found) / len(found)) for name in found[0]}


# Outside `evaluate`, so that all players of a layout share one program.
@partial(jax.jit, static_argnums=(0, 1))
def _measured(
    block: int, layout: Layout, model: Transformer, game: MazeGame, key: Key[Array, ""]
) -> dict[str, Float[Array, ""]]:
    drawn = game.sample(key, block)
    tokens = write(lambda tokens: model(tokens).logits, layout, drawn.tokens)
    return scores(layout, tokens, drawn.maze)
