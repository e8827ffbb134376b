"""Random games of Othello per second, beside pgx.

    pip install -e . pgx
    python benchmarks/othello_games.py [--rounds 5] [--out FILE.json]

Workers take turns in batches of 512 games of 8 x 8 squares, each batch in one compiled
loop. "ours" records every position: both players' discs, legal moves, flipped discs, the
side to move. "ours, moves" keeps only the moves. pgx plays legal moves drawn by Gumbel
noise, as its documentation does, keeps only the moves, and makes 64 steps, for its passes
are steps too. Where pgx is not installed it is left out.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.race import Run, race, report
from synthetic import random
from synthetic.othello import Classic, random_games

BATCH = 512
PGX_STEPS = 64


def looped(play: Callable[[Key[Array, ""]], PyTree]) -> Run:
    """Plays n batches in one compiled loop, each into the place of the last."""

    def many(n):
        shapes = jax.eval_shape(play, random.key(1))
        first = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return jax.lax.fori_loop(
            0, n, lambda i, _: play(jax.random.fold_in(random.key(1), i)), first
        )

    compiled = jax.jit(many)
    return lambda n: jax.block_until_ready(compiled(n))


def our_games(size: int, recorded: bool) -> Run:
    """Whole records, or the moves alone."""

    def play(key):
        games = random_games(key, Classic(size), BATCH)
        return games if recorded else games.square

    return looped(play)


def pgx_games() -> Run:
    """The moves of pgx's Othello."""
    import pgx

    env = pgx.make("othello")

    def play(key):
        key_start, key_moves = jax.random.split(key)
        state = jax.vmap(env.init)(jax.random.split(key_start, BATCH))

        def step(state, key):
            mask = state.legal_action_mask
            noise = jax.random.gumbel(key, mask.shape)
            action = jnp.argmax(jnp.where(mask, noise, -jnp.inf), axis=-1)
            return jax.vmap(env.step)(state, action), action.astype(jnp.uint8)

        return jax.lax.scan(step, state, jax.random.split(key_moves, PGX_STEPS))[1]

    return looped(play)


def main() -> None:
    """Runs the races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    results, versions = {}, {"jax": jax.__version__}
    for size in (4, 6, 8):
        workers = {
            "ours": our_games(size, recorded=True),
            "ours, moves": our_games(size, recorded=False),
        }
        if size == 8 and importlib.util.find_spec("pgx"):
            versions["pgx"] = importlib.metadata.version("pgx")
            workers["pgx, moves"] = pgx_games()
        title = f"random games on {size} x {size} squares"
        results[title] = report(title, race(workers, options.rounds, BATCH), "games")
    if options.out:
        content = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0]}",
            "versions": versions,
            "rounds": options.rounds,
            "results": results,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
