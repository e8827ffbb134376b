"""Mazes per second, with ends and a shortest path, beside maze-dataset.

    pip install -e . "maze-dataset>=1.4.2" "muutils<0.9"
    python benchmarks/mazes.py [--rounds 5] [--sizes 5 7] [--out FILE.json]

Ours and the package's generator take turns on the same law and size. Both draw a maze, two
different ends and a shortest path; ours in batches of 256 inside one compiled loop, the
package one by one (its parallel mode repeats mazes). "ours, game" adds what training wants:
tokens, the distribution of every next token, weights.
"""

import argparse
import importlib.metadata
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
from synthetic.maze import (
    DepthFirst,
    Kruskal,
    MazeGame,
    Percolated,
    Percolation,
    Wilson,
    library,
    solve,
)
from synthetic.maze.generate import Law

BATCH = 256
LAWS: dict[str, tuple[Callable[[int], Law], str, dict]] = {
    "depth-first": (lambda n: DepthFirst(n, margin=1), "gen_dfs", {}),
    "Kruskal": (Kruskal, "gen_kruskal", {}),
    "Wilson": (Wilson, "gen_wilson", {}),
    "percolation": (lambda n: Percolation(n, 0.6), "gen_percolation", {"p": 0.6}),
    "depth-first, walls opened": (
        lambda n: Percolated(DepthFirst(n, margin=1), 0.1),
        "gen_dfs_percolation",
        {"p": 0.1},
    ),
}


def looped(sample: Callable[[Key[Array, ""]], PyTree]) -> Run:
    """Draws n batches in one compiled loop; the sum of all entries keeps them alive."""

    def total(n):
        def add(i, so_far):
            drawn = sample(jax.random.fold_in(random.key(1), i))
            return so_far + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(drawn))

        return jax.lax.fori_loop(0, n, add, jnp.float32(0))

    compiled = jax.jit(total)
    return lambda n: jax.block_until_ready(compiled(n))


def our_mazes(law: Law) -> Run:
    """Mazes with ends and a shortest path."""

    def sample(key):
        key_maze, key_ends, key_path = jax.random.split(key, 3)
        connections = law.draw(key_maze, BATCH)
        return solve.solve(key_path, connections, *solve.draw_ends(key_ends, connections))

    return looped(sample)


def our_game(law: Law) -> Run:
    """Those and tokens, targets and weights."""
    game = MazeGame.of(law)

    def sample(key):
        drawn = game.sample(key, BATCH)
        return drawn.tokens, drawn.targets, drawn.weights

    return looped(sample)


def their_mazes(generator: str, size: int, settings: dict) -> Run:
    """The package's generator and solver, as it makes a data set, in one process."""
    return lambda n: library.dataset(generator, size, n * BATCH, settings=settings)


def main() -> None:
    """Runs the races that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, default=[5, 7])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    results = {}
    for size in options.sizes:
        for name, (law, generator, settings) in LAWS.items():
            workers = {
                "ours": our_mazes(law(size)),
                "ours, game": our_game(law(size)),
                "maze-dataset": their_mazes(generator, size, settings),
            }
            title = f"{name}, {size} by {size} cells"
            results[title] = report(title, race(workers, options.rounds, BATCH), "mazes")
    if options.out:
        versions = {"maze-dataset": importlib.metadata.version("maze-dataset")}
        content = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0]}",
            "versions": {"jax": jax.__version__} | versions,
            "rounds": options.rounds,
            "results": results,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
