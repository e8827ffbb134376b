"""Mazes as sequences of tokens, all of one length, and back.

    <ADJLIST_START> a <--> b ; ... <ADJLIST_END> <ORIGIN_START> o <ORIGIN_END>
    <TARGET_START> t <TARGET_END> <PATH_START> o ... t <PATH_END> <PADDING> ...

the format of maze-dataset (its legacy vocabulary `AOTP_UT_rasterized`, ids and all). Every
part begins at the same place in all sequences of a layout: a maze with fewer connections
than the layout has slots is padded at the end of its list. Where all mazes are spanning
trees nothing is padded but the end of the path.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Int, Key

from synthetic.maze import lattice
from synthetic.maze.choice import random_bits
from synthetic.maze.lattice import Maze
from synthetic.validation import concrete, require_range, require_width

SPECIAL = (
    "<ADJLIST_START>",
    "<ADJLIST_END>",
    "<TARGET_START>",
    "<TARGET_END>",
    "<ORIGIN_START>",
    "<ORIGIN_END>",
    "<PATH_START>",
    "<PATH_END>",
    "<-->",
    ";",
    "<PADDING>",
)
PATH_START, PATH_END, CONNECTOR, ENDLINE, PADDING = range(6, 11)
FIRST_CELL = len(SPECIAL)


class Listing(NamedTuple):
    """In which order and direction a prompt lists the connections.

    Attributes:
        connection: the number of the connection in each slot, -1 for none.
        flipped: whether its lower or right cell comes first.
    """

    connection: Int[Array, "*batch slot"]
    flipped: Bool[Array, "*batch slot"]


@struct.dataclass
class Layout:
    """Where everything is in a sequence. All fields are static.

    Attributes:
        size: cells in a row of the lattice; decides the vocabulary.
        n_listed: slots for connections.
        n_path: slots for cells of the path, both ends among them.
    """

    size: int = struct.field(pytree_node=False)
    n_listed: int = struct.field(pytree_node=False)
    n_path: int = struct.field(pytree_node=False)

    def __post_init__(self):
        lattice.require_size(self.size)
        most = lattice.n_connections(self.size)
        require_range("n_listed", self.n_listed, 1, most, "a lattice has no more")
        require_range("n_path", self.n_path, 2, self.size**2, "a path visits a cell once")

    @property
    def n_words(self) -> int:
        """The size of the vocabulary."""
        return FIRST_CELL + self.size**2

    @property
    def n_tokens(self) -> int:
        """The length of a sequence."""
        return self.first_step + self.n_path + 1

    @property
    def slots(self) -> slice:
        """The tokens of the list, four a slot."""
        return slice(1, 1 + 4 * self.n_listed)

    @property
    def origin(self) -> int:
        """The place of the origin's cell."""
        return self.slots.stop + 2

    @property
    def target(self) -> int:
        """The place of the target's cell."""
        return self.slots.stop + 5

    @property
    def path_start(self) -> int:
        """The place of <PATH_START>; the prompt ends with it."""
        return self.slots.stop + 7

    @property
    def first_step(self) -> int:
        """The place of the path's first cell."""
        return self.path_start + 1

    @property
    def words(self) -> list[str]:
        """The word of every id; cells are (row,column)."""
        cells = np.ndindex(self.size, self.size)
        return [*SPECIAL, *(f"({row},{column})" for row, column in cells)]


def draw_listing(
    key: Key[Array, ""], connections: Bool[Array, "batch 2 n n"], n_listed: int
) -> Listing:
    """All connections in random order, each in a random direction.

    Both depend on the key alone: a connection that two mazes have stands in the same
    direction, and before or after the same others.

    Raises:
        ValueError: a maze has more connections than there are slots. (Where they are not
            known yet, inside `jit`, the list is cut; `MazeGame` makes its weights NaN.)
    """
    known = concrete(connections)
    if known is not None:
        require_range(
            "the number of connections of a maze",
            known.sum(axis=(-1, -2, -3)),
            high=n_listed,
            fix="give the layout more slots (n_listed)",
        )
    present = lattice.to_list(connections)
    n_edges = present.shape[-1]
    draw = random_bits(key, present.shape)
    # From the top: absent or not, a random place, the number, the direction. After sorting
    # by the first two, the others tell what stands there.
    spare = n_edges.bit_length()
    place = draw >> (spare + 2) << (spare + 1)
    number = jnp.arange(n_edges, dtype=jnp.uint32) << 1
    absent = (~present).astype(jnp.uint32) << 31
    ordered = jnp.sort(absent | place | number | draw & 1, axis=-1)[..., :n_listed]
    listed = (ordered >> 1 & (2**spare - 1)).astype(jnp.int32)
    return Listing(jnp.where(ordered >> 31 == 0, listed, -1), (ordered & 1) == 1)


def write(layout: Layout, listing: Listing, maze: Maze) -> Int[Array, "*batch token"]:
    """The sequences of these mazes.

    Raises:
        ValueError: mazes, listing and layout differ in size.
    """
    _require_fit(layout, listing, maze)
    batch = maze.origin.shape
    a, b = _listed_cells(layout.size, listing)
    used = (listing.connection >= 0)[..., None]
    words = jnp.stack(
        [
            FIRST_CELL + a,
            jnp.full(a.shape, CONNECTOR),
            FIRST_CELL + b,
            jnp.full(a.shape, ENDLINE),
        ],
        axis=-1,
    )
    slots = jnp.where(used, words, PADDING).reshape(*batch, -1)

    def special(word: str) -> Array:
        return jnp.full((*batch, 1), SPECIAL.index(word))

    return jnp.concatenate(
        [
            special("<ADJLIST_START>"),
            slots,
            special("<ADJLIST_END>"),
            special("<ORIGIN_START>"),
            FIRST_CELL + maze.origin[..., None],
            special("<ORIGIN_END>"),
            special("<TARGET_START>"),
            FIRST_CELL + maze.target[..., None],
            special("<TARGET_END>"),
            special("<PATH_START>"),
            _path_words(maze.path),
        ],
        axis=-1,
    ).astype(jnp.int32)


def _path_words(path: Int[Array, "*batch slot"]) -> Int[Array, "*batch word"]:
    """The cells, then <PATH_END>, then padding; one word more than slots."""
    pad = [(0, 0)] * (path.ndim - 1)
    path = jnp.pad(path, [*pad, (0, 1)], constant_values=-1)
    before = jnp.pad(path[..., :-1], [*pad, (1, 0)])
    ended = jnp.where(before >= 0, PATH_END, PADDING)
    return jnp.where(path >= 0, FIRST_CELL + path, ended)


def _listed_cells(size: int, listing: Listing) -> tuple[Array, Array]:
    """The first and second cell of every slot, in the listed direction."""
    both = jnp.asarray(lattice.ends(size))[listing.connection]
    upper, lower = both[..., 0], both[..., 1]
    return (
        jnp.where(listing.flipped, lower, upper),
        jnp.where(listing.flipped, upper, lower),
    )


def read(layout: Layout, tokens: Int[Array, "*batch token"]) -> Maze:
    """The mazes of these sequences; undoes `write`, whatever the order of the list.

    For sequences that may be broken, call `require_tokens` first.
    """
    batch = tokens.shape[:-1]
    slots = tokens[..., layout.slots].reshape(*batch, -1, 4)
    a, b = slots[..., 0] - FIRST_CELL, slots[..., 2] - FIRST_CELL
    upper, lower = lattice.ends(layout.size).T
    first, second = jnp.minimum(a, b)[..., None], jnp.maximum(a, b)[..., None]
    present = ((first == upper) & (second == lower)).any(-2)
    path = tokens[..., layout.first_step : -1]
    return Maze(
        connections=lattice.from_list(present, layout.size),
        origin=tokens[..., layout.origin] - FIRST_CELL,
        target=tokens[..., layout.target] - FIRST_CELL,
        path=jnp.where(path >= FIRST_CELL, path - FIRST_CELL, -1),
    )


def walk(layout: Layout, tokens: Int[Array, "*batch token"]) -> Int[Array, "*batch slot"]:
    """The cells after <PATH_START> up to the first word that is no cell; -1 after that.

    For what a model wrote; see `solve.grade`.
    """
    path = tokens[..., layout.first_step : layout.n_tokens]
    goes_on = jnp.cumprod((path >= FIRST_CELL).astype(jnp.int32), axis=-1) > 0
    return jnp.where(goes_on, path - FIRST_CELL, -1)


def require_tokens(layout: Layout, tokens: Int[Array, "*batch token"]) -> None:
    """Raises ValueError unless `write` gives exactly these sequences for their mazes."""
    known = np.asarray(tokens)
    fix = "give the layout that wrote them"
    if not np.issubdtype(known.dtype, np.integer) or known.ndim == 0:
        raise ValueError(
            f"tokens has dtype {known.dtype} and shape {known.shape}, expected integers "
            "[*batch, token]; give ids, not words or logits"
        )
    require_width("the length of a sequence", known.shape[-1], layout.n_tokens, fix)
    require_range("a token", known, 0, layout.n_words - 1, fix)
    maze = read(layout, jnp.asarray(known))
    again = write(layout, _listing_of(layout, jnp.asarray(known)), maze)
    wrong = np.argwhere(np.asarray(again) != known)
    if len(wrong):
        *row, place = (int(i) for i in wrong[0])
        got, expected = known[tuple(wrong[0])], np.asarray(again)[tuple(wrong[0])]
        of = f" of sequence {row}" if row else ""
        raise ValueError(
            f"token {place}{of} is {layout.words[got]}, expected "
            f"{layout.words[expected]} there; {fix}"
        )


def _listing_of(layout: Layout, tokens: Int[Array, "*batch token"]) -> Listing:
    slots = tokens[..., layout.slots].reshape(*tokens.shape[:-1], -1, 4)
    a, b = slots[..., 0] - FIRST_CELL, slots[..., 2] - FIRST_CELL
    upper, lower = lattice.ends(layout.size).T
    forward = (a[..., None] == upper) & (b[..., None] == lower)
    backward = (b[..., None] == upper) & (a[..., None] == lower)
    either = forward | backward
    number = jnp.where(either.any(-1), either.argmax(-1), -1)
    return Listing(number, backward.any(-1))


def _require_fit(layout: Layout, listing: Listing, maze: Maze) -> None:
    fix = "make all of them with one layout"
    lattice.require_connections(maze.connections)
    require_width("the size of the mazes", maze.size, layout.size, fix)
    require_width("n_listed", listing.connection.shape[-1], layout.n_listed, fix)
    require_width("the number of path slots", maze.path.shape[-1], layout.n_path, fix)
