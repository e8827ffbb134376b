"""How well linear probes of the residual stream read whole boards of Othello.

What a square holds is the largest of the three answers "mine", "theirs" and "empty" there
(the question of Nanda et al. 2023, arXiv 2309.00941).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from toymodels.othello.residual import OthelloMoves, OthelloResidual
from toymodels.transformer.probes import SCORED, Probes, answers, block_keys, block_rows

BOARD = ("mine", "theirs", "empty")


class BoardScores(NamedTuple):
    """Shares of squares whose content is read off right, on fresh games.

    Attributes:
        accuracy: over all squares.
        occupied: over squares with a disc.
        by_square: of each square.
    """

    accuracy: Float[np.ndarray, " site"]
    occupied: Float[np.ndarray, " site"]
    by_square: Float[np.ndarray, "site square"]


def board_scores(
    key: Key[Array, ""],
    probes: Probes,
    world: OthelloResidual | OthelloMoves,
    n_rows: int = 16_384,
    block: int = 4096,
) -> BoardScores:
    """How well the probes read boards; the world's first families must be `BOARD`.

    Raises:
        ValueError: they are not.
    """
    if world.families[:3] != BOARD:
        raise ValueError(
            f"the first families are {world.families[:3]}, expected {BOARD}; what a square "
            "holds is the largest of these three answers"
        )
    n_squares = world.game.rules.size**2

    @jax.jit
    def measure(probes, x, y):
        board = slice(0, 3 * n_squares)
        found = answers(probes, x)[..., board].reshape(*x.shape[:2], 3, n_squares)
        truth = jnp.argmax(y[:, board].reshape(-1, 3, n_squares), axis=1)
        right = jnp.argmax(found, axis=2) == truth
        occupied = truth < 2
        return (
            right.mean(1),
            jnp.sum(right & occupied, axis=(1, 2)) / jnp.sum(occupied),
        )

    keys = block_keys(key, SCORED, n_rows, block)
    found = [jax.device_get(measure(probes, *block_rows(world, k, block))) for k in keys]
    by_square, occupied = (np.mean(part, axis=0) for part in zip(*found, strict=True))
    return BoardScores(by_square.mean(-1), occupied, by_square)


def f1_scores(
    key: Key[Array, ""],
    probes: Probes,
    world: OthelloResidual | OthelloMoves,
    n_rows: int = 16_384,
    block: int = 4096,
) -> dict[str, Float[np.ndarray, " site"]]:
    """F1 of each family of `world`, its features pooled, at every site.

    2 TP / (2 TP + FP + FN), a feature being found where the answer is above a half.
    """
    family = np.array([name.split()[0] for name in world.names])

    @jax.jit
    def measure(probes, x, y):
        found = answers(probes, x) > 0.5
        both = jnp.sum(found & (y > 0), axis=1)
        return both, jnp.sum(found, axis=1) + jnp.sum(y > 0, axis=0)

    keys = block_keys(key, SCORED, n_rows, block)
    found = [jax.device_get(measure(probes, *block_rows(world, k, block))) for k in keys]
    both, either = (np.sum(part, axis=0) for part in zip(*found, strict=True))
    scores = {}
    for name in world.families:
        mine = family == name
        total = np.maximum(either[:, mine].sum(-1), 1)
        scores[name] = 2 * both[:, mine].sum(-1) / total
    return scores
