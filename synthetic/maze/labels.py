"""What is true of a maze, and of every token of its sequence: the answer key.

`of_maze` tells what holds for the whole maze, `at_tokens` what holds at a place of the
sequence: which connection is being read, which were read so far, where the path is and what
it may do next. `synthetic.maze.features` makes vectors of them.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from synthetic.maze import lattice, solve
from synthetic.maze.lattice import Maze
from synthetic.maze.tokens import Layout, Listing


class Labels(NamedTuple):
    """Attributes:
    connection: [*batch, connection], open.
    wall: closed, the complement.
    path_connection: on the path.
    reachable: [*batch, cell], there is a way to the target.
    on_path: on the path, ends among them.
    origin: where the path begins.
    target: where it ends.
    dead_end: one connection.
    corridor: two.
    junction: three or four.
    fork: on the path, and there is a way other than along the path.
    best: [*batch, cell, 4], the move leads one step nearer to the target.
    tie: [*batch, cell], more than one move does.
    legal: [*batch, cell, 4], the move is open.
    degree: [*batch, cell], number of connections.
    distance: steps to the target, -1 where there is no way.
    open_below: [*batch, n - 1], connections between each row and the next.
    open_beside: [*batch, n - 1], between each column and the next.
    """

    connection: Bool[Array, "*batch connection"]
    wall: Bool[Array, "*batch connection"]
    path_connection: Bool[Array, "*batch connection"]
    reachable: Bool[Array, "*batch cell"]
    on_path: Bool[Array, "*batch cell"]
    origin: Bool[Array, "*batch cell"]
    target: Bool[Array, "*batch cell"]
    dead_end: Bool[Array, "*batch cell"]
    corridor: Bool[Array, "*batch cell"]
    junction: Bool[Array, "*batch cell"]
    fork: Bool[Array, "*batch cell"]
    best: Bool[Array, "*batch cell 4"]
    tie: Bool[Array, "*batch cell"]
    legal: Bool[Array, "*batch cell 4"]
    degree: Int[Array, "*batch cell"]
    distance: Int[Array, "*batch cell"]
    open_below: Int[Array, "*batch row"]
    open_beside: Int[Array, "*batch column"]


NOWHERE = 2**30


class TokenLabels(NamedTuple):
    """Labels of every token; false or -1 where they say nothing.

    Attributes:
        listing: [*batch, token, connection], the one whose second cell or `;` this is.
        listed: the list has told of it, up to and with this token.
        here: [*batch, token, cell], the cell of the path that this token is.
        visited: cells of the path up to and with this token.
        legal: [*batch, token, 4], open moves from here.
        best: moves from here that lead nearer to the target.
        to_go: [*batch, token], steps from here to the target.
    """

    listing: Bool[Array, "*batch token connection"]
    listed: Bool[Array, "*batch token connection"]
    here: Bool[Array, "*batch token cell"]
    visited: Bool[Array, "*batch token cell"]
    legal: Bool[Array, "*batch token 4"]
    best: Bool[Array, "*batch token 4"]
    to_go: Int[Array, "*batch token"]


def of_maze(maze: Maze) -> Labels:
    """The labels of whole mazes."""
    n_cells = maze.size**2
    cell = jnp.arange(n_cells)
    connection = lattice.to_list(maze.connections)
    legal = lattice.legal_moves(maze.connections)
    degree = legal.sum(-1, dtype=jnp.int32)
    distance = solve.distances(maze.connections, maze.target)
    best = solve.next_moves(maze.connections, distance)
    on_path = (maze.path[..., None] == cell).any(-2)
    path_connection = _walked(maze)
    along = lattice.legal_moves(lattice.from_list(path_connection, maze.size)).sum(-1)
    return Labels(
        connection=connection,
        wall=~connection,
        path_connection=path_connection,
        reachable=distance >= 0,
        on_path=on_path,
        origin=maze.origin[..., None] == cell,
        target=maze.target[..., None] == cell,
        dead_end=degree == 1,
        corridor=degree == 2,
        junction=degree >= 3,
        fork=on_path & (degree > along),
        best=best,
        tie=best.sum(-1) > 1,
        legal=legal,
        degree=degree,
        distance=distance,
        open_below=maze.connections[..., 0, :-1, :].sum(-1, dtype=jnp.int32),
        open_beside=maze.connections[..., 1, :, :-1].sum(-2, dtype=jnp.int32),
    )


def _walked(maze: Maze) -> Bool[Array, "*batch connection"]:
    """The connections that the path takes."""
    upper, lower = lattice.ends(maze.size).T
    a, b = maze.path[..., :-1, None], maze.path[..., 1:, None]
    there, back = (a == upper) & (b == lower), (a == lower) & (b == upper)
    return (there | back).any(-2)


def at_tokens(layout: Layout, listing: Listing, maze: Maze) -> TokenLabels:
    """The labels of every token of the sequences that `tokens.write` makes of these."""
    token = jnp.arange(layout.n_tokens)[:, None]
    slot = layout.slots.start + 4 * jnp.arange(layout.n_listed)
    connection = jnp.arange(lattice.n_connections(layout.size))
    read = _first(listing.connection, connection, slot + 2)  # a <--> b ; : from b on.
    step = layout.first_step + jnp.arange(layout.n_path)
    reached = _first(maze.path, jnp.arange(layout.size**2), step)
    distance = solve.distances(maze.connections, maze.target)

    def on_path(values: Array) -> Array:
        index = jnp.maximum(maze.path, 0)[..., None]
        found = jnp.take_along_axis(values, index, axis=-2)
        found = jnp.where(maze.path[..., None] >= 0, found, jnp.zeros_like(found))
        after = layout.n_tokens - layout.first_step - layout.n_path
        pad = [(0, 0)] * (found.ndim - 2) + [(layout.first_step, after), (0, 0)]
        return jnp.pad(found, pad)

    return TokenLabels(
        listing=(token == read) | (token == read + 1),
        listed=token >= read,
        here=token == reached,
        visited=token >= reached,
        legal=on_path(lattice.legal_moves(maze.connections)),
        best=on_path(solve.next_moves(maze.connections, distance)),
        to_go=on_path(distance[..., None] + 1)[..., 0] - 1,
    )


def _first(
    values: Int[Array, "*batch slot"], wanted: Int[Array, " n"], place: Int[Array, " slot"]
) -> Int[Array, "*batch 1 n"]:
    """The place of the slot that holds each wanted value; beyond all where none does."""
    held = values[..., None] == wanted
    return jnp.where(held, place[:, None], NOWHERE).min(-2, keepdims=True)
