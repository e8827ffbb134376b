"""Laws of random mazes, drawn inside `jit`: every maze of a batch at once.

A law has a `size` (static), `max_connections`, and `draw(key, batch_size)`, a pure function
of its key. A maze in progress is a set of bits (`bits`); a tree is kept as one arrow per
cell, towards the root.

The depth-first law of maze-dataset 1.4.2 is biased: its first cell never lies in the last
row or column, so that 3 by 3 mazes take 42 forms instead of 88, and connections at opposite
corners are not equally likely. Here the first cell is uniform; `DepthFirst(margin=1)` is
the biased law, for comparison with mazes of the library.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Key

from synthetic.firing import uniform
from synthetic.maze import arrows, bits, choice, lattice
from synthetic.validation import require_probability, require_range


class Law(Protocol):
    """A distribution over mazes of one size."""

    @property
    def size(self) -> int: ...

    @property
    def max_connections(self) -> int: ...

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]: ...


@struct.dataclass
class Percolation:
    """Every connection is open with the same probability, independently.

    Attributes:
        size: static.
        probability: a leaf.
    """

    size: int = struct.field(pytree_node=False)
    probability: ArrayLike = 0.6

    def __post_init__(self):
        lattice.require_size(self.size)
        require_probability("probability", self.probability)

    @property
    def max_connections(self) -> int:
        return lattice.n_connections(self.size)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        u = uniform(key, (self.max_connections, batch_size))
        return lattice.from_list((u < self.probability).T, self.size)


@struct.dataclass
class Percolated:
    """Mazes of a law whose walls are opened with some probability, independently: cycles.

    With `DepthFirst` the "depth-first with percolation" mazes of maze-dataset. In trees
    every edit of a path cuts off the target; these have detours.

    Attributes:
        law: the law of the mazes.
        probability: that a wall is opened; a leaf.
    """

    law: Law
    probability: ArrayLike = 0.1

    def __post_init__(self):
        require_probability("probability", self.probability)

    @property
    def size(self) -> int:
        return self.law.size

    @property
    def max_connections(self) -> int:
        return lattice.n_connections(self.size)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        key_law, key_open = jax.random.split(key)
        u = uniform(key_open, (lattice.n_connections(self.size), batch_size))
        opened = lattice.from_list((u < self.probability).T, self.size)
        return self.law.draw(key_law, batch_size) | opened


@struct.dataclass
class DepthFirst:
    """Randomised depth-first search: go to a random new neighbour, else one cell back.

    All numbers but `size` are leaves. With limits, the constrained mazes of maze-dataset:
    `max_cells` is its `accessible_cells`, and `max_depth` half of its `max_tree_depth`. Its
    count of depth runs ahead after a way back through cells without a fork, though, so that
    its mazes may end earlier than that limit says.

    Attributes:
        size: static.
        max_cells: the search ends with so many cells; the others have no connection.
        max_depth: no cell is further than so many steps from the first one.
        margin: the first cell is not in so many of the last rows and columns. 0 is
            uniform; 1 is the bias of maze-dataset.
    """

    size: int = struct.field(pytree_node=False)
    max_cells: ArrayLike = lattice.LARGEST**2
    max_depth: ArrayLike = lattice.LARGEST**2
    margin: ArrayLike = 0

    def __post_init__(self):
        lattice.require_size(self.size)
        require_range("max_cells", self.max_cells, 1, fix="the first cell is one of them")
        require_range("max_depth", self.max_depth, 0, fix="it counts steps")
        require_range("margin", self.margin, 0, self.size - 1, "a cell must remain")

    @property
    def max_connections(self) -> int:
        return self.size**2 - 1

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        limits = Limits(self.max_cells, self.max_depth, self.margin)
        return _search(key, self.size, batch_size, limits, goes_back=True)


@struct.dataclass
class Hallway:
    """One corridor without forks: a walk to random new neighbours until there is none.

    The "forkless" mazes of Ivanitskiy et al. 2023 (arXiv 2312.02566).

    Attributes:
        size: static.
        margin: as in `DepthFirst`.
    """

    size: int = struct.field(pytree_node=False)
    margin: ArrayLike = 0

    def __post_init__(self):
        lattice.require_size(self.size)
        require_range("margin", self.margin, 0, self.size - 1, "a cell must remain")

    @property
    def max_connections(self) -> int:
        return self.size**2 - 1

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        limits = Limits(self.size**2, self.size**2, self.margin)
        return _search(key, self.size, batch_size, limits, goes_back=False)


class Limits(NamedTuple):
    """The numbers of `DepthFirst`."""

    cells: ArrayLike
    depth: ArrayLike
    margin: ArrayLike


def _search(
    key: Key[Array, ""], size: int, batch_size: int, limits: Limits, goes_back: bool
) -> Bool[Array, "batch 2 n n"]:
    key_start, key_move = jax.random.split(key)
    row, column = choice.below(
        choice.random_bits(key_start, (2, batch_size)),
        jnp.broadcast_to(jnp.uint32(size - limits.margin), (2, batch_size)),
    )
    start = bits.of_cell(row * size + column, size)

    def move(i, state):
        here, new, low, high, n_cells, depth = state
        around = jnp.stack(bits.step(here, size))
        draw = choice.random_bits(jax.random.fold_in(key_move, i), (batch_size,))
        chosen = choice.pick(draw, (around & new).any(1))
        chosen &= (n_cells < limits.cells) & (depth < limits.depth)
        ahead = arrows.union(jnp.where(chosen[:, None], around, 0))
        goes = chosen.any(0)
        returns = ~goes & ~bits.meets(here, start) & goes_back
        back = arrows.union(jnp.where(arrows.move_of(here, low, high)[:, None], around, 0))
        low |= bits.where(chosen[0] | chosen[2], ahead)  # The arrow of a new cell points
        high |= bits.where(chosen[2] | chosen[3], ahead)  # back: the move's number ^ 1.
        here = jnp.where(goes, ahead, jnp.where(returns, back, here))
        depth = depth + goes - returns
        return here, new & ~ahead, low, high, n_cells + goes, depth

    # n^2 - 1 moves ahead and, before the last of them, at most n^2 - 2 back.
    n_moves = 2 * size**2 - 3 if goes_back else size**2 - 1
    new = bits.everywhere(size) & ~start
    counts = jnp.ones(batch_size, jnp.int32), jnp.zeros(batch_size, jnp.int32)
    state = (start, new, jnp.zeros_like(start), jnp.zeros_like(start), *counts)
    _, new, low, high, *_ = lax.fori_loop(0, n_moves, move, state)
    return arrows.maze(bits.everywhere(size) & ~start & ~new, low, high, size)


@struct.dataclass
class Wilson:
    """The uniform law over all spanning trees (Wilson 1996), by popping cycles.

    Every cell but the root has a random arrow. As long as arrows form cycles, those on
    cycles are drawn again; the order does not matter (Propp and Wilson 1998), so all
    cycles of a maze are popped at once. An arrow out of the lattice is a cycle of its own.

    Attributes:
        size: static.
    """

    size: int = struct.field(pytree_node=False)

    def __post_init__(self):
        lattice.require_size(self.size)

    @property
    def max_connections(self) -> int:
        return self.size**2 - 1

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        key_first, key_again = jax.random.split(key)
        root = np.zeros((self.size, self.size), bool)
        root[self.size // 2, self.size // 2] = True
        others = bits.everywhere(self.size) & ~bits.constant(root)
        everyone = jnp.broadcast_to(others, (len(others), batch_size))

        def pop(state):
            i, (low, high), suspects = state
            reached = arrows.follow(suspects, low, high, self.size) & others
            # The cells that suspects point to are fewer each time, down to the cycles.
            settled = (reached == suspects).all(0)
            cycles = bits.where(settled, suspects)
            fresh = choice.random_bits(jax.random.fold_in(key_again, i), (2, *cycles.shape))
            low = low & ~cycles | fresh[0] & cycles
            high = high & ~cycles | fresh[1] & cycles
            again = settled & (suspects != 0).any(0)
            return i + 1, (low, high), jnp.where(again, others, reached)

        low, high = choice.random_bits(key_first, (2, *everyone.shape))
        start = (jnp.int32(0), (low, high), everyone)
        _, (low, high), _ = lax.while_loop(lambda s: (s[2] != 0).any(), pop, start)
        return arrows.maze(everyone, low, high, self.size)


@struct.dataclass
class Kruskal:
    """The minimal spanning tree of random weights, which is what Kruskal's algorithm on
    shuffled connections draws; grown from a corner cell (Prim's order, the same tree).

    Attributes:
        size: static.
    """

    size: int = struct.field(pytree_node=False)

    def __post_init__(self):
        lattice.require_size(self.size)

    @property
    def max_connections(self) -> int:
        return self.size**2 - 1

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        n_edges, n_cells = lattice.n_connections(self.size), self.size**2
        a, b = lattice.ends(self.size).T
        # The number in the low bits breaks ties: of equal weights only one is the least.
        number = np.arange(n_edges, dtype=np.uint32)[:, None]
        spare = n_edges.bit_length()
        weight = choice.random_bits(key, (n_edges, batch_size)) >> spare << spare | number

        def add(_, state):
            inside, present = state
            crosses = inside[a] != inside[b]
            cost = jnp.where(crosses, weight, jnp.uint32(2**32 - 1))
            best = crosses & (cost == cost.min(0))
            touched = lattice.legal_moves(lattice.from_list(best.T, self.size)).any(-1)
            return inside | touched.T, present | best

        inside = jnp.broadcast_to(jnp.arange(n_cells)[:, None] == 0, (n_cells, batch_size))
        start = (inside, jnp.zeros(weight.shape, bool))
        _, present = lax.fori_loop(0, n_cells - 1, add, start)
        return lattice.from_list(present.T, self.size)
