"""Switching one connection of a maze in the mind of its player, and where it then goes.

A case is a prompt, one slot of its list, and another connection that would stand there in
the edited prompt. The player reads the one prompt while its residual stream is edited at
that slot; the other one is the oracle. Only such cases count in which every best first step
of the edited maze is a wrong one in the maze that is read, and there still is a way to the
target, so that the exact answer is known and differs.

All prompts list equally many connections. Where the slot held a connection of the path,
one is taken away and another one given (`swaps`); in trees both mazes are trees. Where it
held one that the path does not need, what is given is a shortcut (`shortcuts`), and taken
away again in `undone`: a removal after which the target can still be reached, as in Spies
et al. 2024 (arXiv 2412.11867) it sometimes could not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from synthetic.maze import MazeGame, Sequences, lattice, solve
from synthetic.maze.lattice import Maze
from synthetic.maze.tokens import FIRST_CELL
from synthetic.validation import require_range
from toymodels.transformer import Transformer


class Prompt(NamedTuple):
    """What a player reads before its first step, and the answer key.

    Attributes:
        tokens: up to the origin, with which the path begins.
        connection: in the slot that is edited.
        exact: the distribution of the first step.
        legal: words of cells that can be reached from the origin in one step.
    """

    tokens: Int[Array, "case token"]
    connection: Int[Array, " case"]
    exact: Float[Array, "case word"]
    legal: Bool[Array, "case word"]


class Cases(NamedTuple):
    """Attributes:
    read: what the player reads.
    wanted: what it should come to believe.
    slot: of the list, the only one in which they differ.
    start: the token with which that slot begins.
    possible: whether the maze has such an edit; where not, the case says nothing.
    """

    read: Prompt
    wanted: Prompt
    slot: Int[Array, " case"]
    start: Int[Array, " case"]
    possible: Bool[Array, " case"]


class Outcome(NamedTuple):
    """How a player's first step fits a maze, by case.

    Attributes:
        kl: KL(exact || player), in nats.
        legal: whether the likeliest word is a cell that can be reached.
        best: whether it is also nearer to the target.
    """

    kl: Float[Array, " case"]
    legal: Float[Array, " case"]
    best: Float[Array, " case"]


def swaps(key: Key[Array, ""], game: MazeGame, n_cases: int) -> Cases:
    """A connection of the path gives way to one that was closed, one pair of each maze, all
    pairs alike. In a tree there always is one: a lattice falls apart only if two of its
    connections are cut.
    """
    return _cases(key, game, n_cases, on_path=True)


def shortcuts(key: Key[Array, ""], game: MazeGame, n_cases: int) -> Cases:
    """A connection that the path does not take gives way to one that shortens it, one pair
    of each maze, all pairs alike. Short paths have none.
    """
    return _cases(key, game, n_cases, on_path=False)


def undone(cases: Cases) -> Cases:
    """The same edits backwards."""
    return cases._replace(read=cases.wanted, wanted=cases.read)


def first(cases: Cases, n: int) -> Cases:
    """The first `n` possible cases; concrete values only.

    Raises:
        ValueError: there are fewer.
    """
    possible = np.flatnonzero(np.asarray(cases.possible))
    fix = "draw more cases, or mazes with longer paths (min_steps)"
    require_range("the number of possible cases", len(possible), low=n, fix=fix)
    return jax.tree.map(lambda leaf: leaf[possible[:n]], cases)


def _cases(key: Key[Array, ""], game: MazeGame, n_cases: int, on_path: bool) -> Cases:
    key_mazes, key_pairs, key_paths = jax.random.split(key, 3)
    drawn = game.sample(key_mazes, n_cases)
    n = drawn.labels.connection.shape[-1]
    level = jax.random.uniform(key_pairs, (n_cases, game.layout.n_listed, n), jnp.float32)

    def choose(of):
        maze, listed, taken, level = of
        possible = _changes(maze, listed) & (taken[listed] == on_path)[:, None]
        pair = jnp.argmax(jnp.where(possible, level, -1))
        return *jnp.unravel_index(pair, level.shape), possible.any()

    listed = drawn.listing.connection
    of = (drawn.maze, listed, drawn.labels.path_connection, level)
    slot, given, possible = jax.lax.map(choose, of)
    case = jnp.arange(n_cases)
    off = listed[case, slot]
    closed = lattice.with_connection(drawn.maze.connections, off, False)
    connections = lattice.with_connection(closed, given, True)
    origin, target = drawn.maze.origin, drawn.maze.target
    maze = solve.solve(key_paths, connections, origin, target, game.layout.n_path)
    listing = drawn.listing._replace(connection=listed.at[case, slot].set(given))
    edited = game.describe(maze, listing)
    prompts = (_prompt(game, drawn, off), _prompt(game, edited, given))
    start = game.layout.slots.start + 4 * slot
    return Cases(*prompts, slot, start, possible)


def _changes(maze: Maze, listed: Int[Array, " slot"]) -> Bool[Array, "slot connection"]:
    """Which connections, in which slots, leave a way but no first step that was best."""
    n = lattice.n_connections(maze.size)
    shape = (len(listed), n)
    off = jnp.broadcast_to(listed[:, None], shape)
    given = jnp.broadcast_to(jnp.arange(n), shape)
    whole = jnp.broadcast_to(maze.connections, (*shape, *maze.connections.shape))
    closed = lattice.with_connection(whole, off, False)
    edited = lattice.with_connection(closed, given, True)
    was, becomes = (
        solve.next_moves(of, solve.distances(of, jnp.broadcast_to(maze.target, shape)))[
            ..., maze.origin, :
        ]
        for of in (whole, edited)
    )
    is_new = ~lattice.to_list(maze.connections) & (listed >= 0)[:, None]
    return is_new & becomes.any(-1) & ~(was & becomes).any(-1)


def _prompt(
    game: MazeGame, sequences: Sequences, connection: Int[Array, " case"]
) -> Prompt:
    step = game.layout.first_step
    origin = sequences.maze.origin
    around = jnp.asarray(lattice.neighbours(game.layout.size))[origin]
    open_to = sequences.labels.legal[jnp.arange(len(origin)), origin]
    reached = jnp.where(open_to, FIRST_CELL + around, -1)
    legal = (reached[..., None] == jnp.arange(game.n_words)).any(1)
    tokens = sequences.tokens[:, : step + 1]
    return Prompt(tokens, connection, sequences.targets[:, step], legal)


def logits_after(
    model: Transformer,
    tokens: Int[Array, "case token"],
    place: Int[Array, " case"],
    site: Int[ArrayLike, ""],
    shift: Float[Array, "case d_model"],
) -> Float[Array, "case word"]:
    """The player's logits at the last token.

    Args:
        model: the player.
        tokens: what it reads.
        place: of each case, the token at which its stream is edited.
        site: where in the stream; traced, so that all sites are one program.
        shift: what is added there.
    """
    case = jnp.arange(len(tokens))

    def added(where):
        return lambda x: x.at[case, place].add(jnp.where(site == where, shift, 0))

    edits = {where: added(where) for where in range(model.n_sites)}
    return model(tokens, edits).logits[:, -1]


def outcome(logits: Float[Array, "case word"], prompt: Prompt) -> Outcome:
    """How well these logits fit the maze of a prompt."""
    log_p = jax.nn.log_softmax(logits)
    entropy = -jnp.sum(jax.scipy.special.xlogy(prompt.exact, prompt.exact), axis=-1)
    kl = -jnp.sum(prompt.exact * log_p, axis=-1) - entropy
    likeliest = jnp.argmax(logits, axis=-1)
    case = jnp.arange(len(logits))
    legal, best = prompt.legal[case, likeliest], prompt.exact[case, likeliest] > 0
    return Outcome(kl, legal.astype(kl.dtype), best.astype(kl.dtype))
