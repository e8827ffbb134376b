"""Shortest paths: distances, the next steps that are best, ends and a path drawn by lot."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Int, Key

from synthetic.maze import bits, lattice
from synthetic.maze.choice import pick, random_bits
from synthetic.maze.lattice import Connections, Maze

FAR = lattice.LARGEST**2


class Grade(NamedTuple):
    """How good a walk is; every field [*batch].

    Attributes:
        valid: it begins at the origin and makes open moves only.
        reaches: it ends at the target, by whatever moves.
        shortest: it is valid, reaches, and no path is shorter.
        n_walls: how many of its moves are not open ones.
    """

    valid: Bool[Array, "*batch"]
    reaches: Bool[Array, "*batch"]
    shortest: Bool[Array, "*batch"]
    n_walls: Int[Array, "*batch"]


def distances(
    connections: Connections, target: Int[Array, "*batch"]
) -> Int[Array, "*batch cell"]:
    """Steps from every cell to the target, -1 where there is no way; a flood fill."""
    batch, size = connections.shape[:-3], connections.shape[-1]
    planes = connections.reshape(-1, 2, size * size).transpose(1, 2, 0)
    down, right = bits.pack(planes[0]), bits.pack(planes[1])

    def grow(state):
        reached, distance, _ = state
        grown = (
            reached
            | bits.shift(reached & down, size)
            | bits.shift(reached, -size) & down
            | bits.shift(reached & right, 1)
            | bits.shift(reached, -1) & right
        )
        return grown, distance + ~bits.unpack(grown, size), (grown != reached).any()

    reached = bits.of_cell(target.reshape(-1), size)
    distance = (~bits.unpack(reached, size)).astype(jnp.int32)
    start = (reached, distance, jnp.bool_(True))
    reached, distance, _ = lax.while_loop(lambda state: state[2], grow, start)
    distance = jnp.where(bits.unpack(reached, size), distance, -1)
    return distance.T.reshape(*batch, size * size)


def next_moves(
    connections: Connections, distance: Int[Array, "*batch cell"]
) -> Bool[Array, "*batch cell 4"]:
    """The open moves that lead one step nearer to the target; none at the target."""
    around = lattice.neighbours(connections.shape[-1])
    nearer = distance[..., around] == distance[..., None] - 1
    return lattice.legal_moves(connections) & nearer


def draw_ends(
    key: Key[Array, ""],
    connections: Bool[Array, "batch 2 n n"],
    min_steps: ArrayLike = 1,
    max_steps: ArrayLike = FAR,
) -> tuple[Int[Array, " batch"], Int[Array, " batch"]]:
    """An origin and a target for every maze.

    The target is uniform over the cells that have a connection. The origin is uniform over
    the cells from which a shortest path has between `min_steps` and `max_steps` steps;
    where all cells are nearer than `min_steps`, over the furthest ones. In a maze without
    any connection both are the same random cell.

    Args:
        key: decides both.
        connections: the mazes.
        min_steps: at least 1.
        max_steps: at least `min_steps`.

    Returns:
        Origin and target.
    """
    key_target, key_origin = jax.random.split(key)
    batch = connections.shape[:1]
    has_moves = lattice.legal_moves(connections).any(-1)
    target = _draw_cell(
        random_bits(key_target, batch), has_moves | ~has_moves.any(1, keepdims=True)
    )
    distance = distances(connections, target)
    least = jnp.minimum(min_steps, distance.max(1))[:, None]
    eligible = (distance >= least) & (distance <= max_steps)
    return _draw_cell(random_bits(key_origin, batch), eligible), target


def _draw_cell(draw, allowed: Bool[Array, "batch cell"]) -> Int[Array, " batch"]:
    number = jnp.arange(allowed.shape[1], dtype=jnp.int32)[:, None]
    return jnp.where(pick(draw, allowed.T), number, 0).sum(0, dtype=jnp.int32)


def draw_path(
    key: Key[Array, ""],
    moves: Bool[Array, "batch cell 4"],
    origin: Int[Array, " batch"],
    n_slots: int,
) -> Int[Array, "batch slot"]:
    """Cells from the origin on, each step one of `moves` at random, equally likely.

    It ends where there is no move, as at the target; -1 after that. A path with more than
    `n_slots` cells is not finished.
    """
    size = round(moves.shape[1] ** 0.5)
    sets = jnp.stack([bits.pack(moves[..., move].T) for move in range(4)])
    by = jnp.array([-size, size, -1, 1], jnp.int32)[:, None]

    def go(cell, i):
        draw = random_bits(jax.random.fold_in(key, i), cell.shape)
        allowed = ((sets & bits.of_cell(cell, size)) != 0).any(1)
        chosen = pick(draw, allowed)
        onward = cell + jnp.where(chosen, by, 0).sum(0, dtype=jnp.int32)
        return jnp.where(chosen.any(0), onward, -1), cell

    _, path = lax.scan(go, origin.astype(jnp.int32), jnp.arange(n_slots, dtype=jnp.int32))
    return path.T


def solve(
    key: Key[Array, ""],
    connections: Bool[Array, "batch 2 n n"],
    origin: Int[Array, " batch"],
    target: Int[Array, " batch"],
    n_slots: int | None = None,
) -> Maze:
    """The mazes with a shortest path each, drawn as in `draw_path`.

    Where there is no way, the path is the origin alone.

    Args:
        key: decides between shortest paths.
        connections: the mazes.
        origin: where paths begin.
        target: where they end.
        n_slots: cells that a path has room for; n^2 if not given.
    """
    moves = next_moves(connections, distances(connections, target))
    n_slots = connections.shape[-1] ** 2 if n_slots is None else n_slots
    return Maze(connections, origin, target, draw_path(key, moves, origin, n_slots))


def grade(maze: Maze, walk: Int[Array, "*batch slot"]) -> Grade:
    """Holds a walk, such as a model's answer, to the maze.

    Args:
        maze: its `path` is not used, so that any shortest path counts.
        walk: cells, -1 after the last one.
    """
    around = lattice.neighbours(maze.size)
    used = walk >= 0
    cell = jnp.maximum(walk, 0)
    open_to = jnp.where(lattice.legal_moves(maze.connections), around, -1)
    reached = jnp.take_along_axis(open_to, cell[..., :-1, None], axis=-2)
    is_open = (reached == walk[..., 1:, None]).any(-1)
    n_walls = (used[..., 1:] & ~is_open).sum(-1, dtype=jnp.int32)
    n_steps = used.sum(-1, dtype=jnp.int32) - 1
    last = jnp.take_along_axis(walk, jnp.maximum(n_steps, 0)[..., None], axis=-1)[..., 0]
    valid = (walk[..., 0] == maze.origin) & (n_walls == 0)
    reaches = last == maze.target
    distance = distances(maze.connections, maze.target)
    needed = jnp.take_along_axis(distance, maze.origin[..., None], axis=-1)[..., 0]
    return Grade(valid, reaches, valid & reaches & (n_steps == needed), n_walls)


def components(connections: Connections) -> Int[Array, "*batch cell"]:
    """The lowest cell number that every cell can reach: equal where there is a way."""
    size = connections.shape[-1]
    around = lattice.neighbours(size)
    open_to = lattice.legal_moves(connections)

    def spread(state):
        label, _ = state
        seen = jnp.where(open_to, label[..., around], size * size).min(-1)
        lower = jnp.minimum(label, seen)
        return lower, (lower != label).any()

    label = jnp.broadcast_to(np.arange(size * size, dtype=np.int32), open_to.shape[:-1])
    state = (label, jnp.bool_(True))
    return lax.while_loop(lambda state: state[1], spread, state)[0]
