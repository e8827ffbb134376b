"""Mazes held out of training: which part a maze is in is decided by a hash of its walls.

Drawing mazes one by one, a test set of small ones would be known from training: there are
100,352 spanning trees of 4 by 4 cells. Here every maze belongs to one part, in all laws and
for all seeds, so training and test share none although nothing is stored. Ends and order of
the list play no role.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Int, Key, UInt32

from synthetic.maze import lattice
from synthetic.maze.generate import Law
from synthetic.maze.lattice import Connections
from synthetic.validation import require_probability, require_width

MOST_ROUNDS = 10_000


def fingerprint(connections: Connections, salt: ArrayLike = 0) -> UInt32[Array, "*batch"]:
    """A 32-bit hash of the list of connections, another one for every salt.

    Equal mazes have equal fingerprints; of N different ones, about N^2 / 2^33 pairs do.
    """
    present = lattice.to_list(connections)
    batch, n_edges = present.shape[:-1], present.shape[-1]
    padded = jnp.pad(present, [(0, 0)] * len(batch) + [(0, -n_edges % 32)])
    bits = padded.reshape(*batch, -1, 32).astype(jnp.uint32)
    words = (bits << jnp.arange(32, dtype=jnp.uint32)).sum(-1, dtype=jnp.uint32)
    mixed = jnp.broadcast_to(_mix(jnp.asarray(salt).astype(jnp.uint32) + n_edges), batch)
    for i in range(words.shape[-1]):
        mixed = _mix((mixed ^ words[..., i]) + jnp.uint32(0x9E3779B9))
    return mixed


def _mix(h: UInt32[Array, "*batch"]) -> UInt32[Array, "*batch"]:
    """The finaliser of MurmurHash3 (A. Appleby)."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)


def is_held_out(
    connections: Connections, share: ArrayLike, salt: ArrayLike = 0
) -> Bool[Array, "*batch"]:
    """Whether a maze is in the test part, which holds `share` of all different mazes."""
    place = (fingerprint(connections, salt) >> 8).astype(jnp.float32) * 2.0**-24
    return place < share


@struct.dataclass
class Part:
    """A law confined to the training or the test part; made by `split`.

    Mazes of the other part are drawn again, so that within the part they are as likely to
    each other as in the law. Slots of a batch that are still empty after 10,000 rounds
    (the law has no maze in this part) are mazes without connections.

    Attributes:
        law: the law of both parts.
        share: of all different mazes, how many are test mazes; a leaf.
        test: whether this is the test part; a leaf.
        salt: another number, another division; a leaf.
    """

    law: Law
    share: ArrayLike
    test: ArrayLike
    salt: ArrayLike = 0

    def __post_init__(self):
        require_probability("share", self.share)

    @property
    def size(self) -> int:
        return self.law.size

    @property
    def max_connections(self) -> int:
        return self.law.max_connections

    def draw(self, key: Key[Array, ""], batch_size: int) -> Bool[Array, "batch 2 n n"]:
        def fill(state):
            i, found, n_found = state
            drawn = self.law.draw(jax.random.fold_in(key, i), batch_size)
            fits = is_held_out(drawn, self.share, self.salt) == self.test
            count = jnp.cumsum(fits, dtype=jnp.int32)
            place = jnp.where(fits, n_found + count - 1, batch_size)  # Past the end:
            found = found.at[place].set(drawn, mode="drop")  # dropped.
            return i + 1, found, n_found + count[-1]

        def unfinished(state):
            i, _, n_found = state
            return (n_found < batch_size) & (i < MOST_ROUNDS)

        empty = jnp.zeros((batch_size, 2, self.size, self.size), bool)
        return lax.while_loop(unfinished, fill, (jnp.int32(0), empty, jnp.int32(0)))[1]


def split(law: Law, share: ArrayLike = 0.1, salt: ArrayLike = 0) -> tuple[Part, Part]:
    """The law on training mazes and the law on test mazes; they share no maze."""
    return Part(law, share, False, salt), Part(law, share, True, salt)


def rows(connections: np.ndarray) -> np.ndarray:
    """The connections of every maze packed into bytes, [maze, byte]: equal if and only if
    the mazes are. Unlike the hashes of maze-dataset, which change when mazes are read back.
    """
    lattice.require_connections(connections)
    return np.packbits(np.reshape(connections, (len(connections), -1)), axis=-1)


def first_of_each(connections: np.ndarray) -> Int[np.ndarray, " different"]:
    """The places of different mazes, in order: the first of every set of equal ones."""
    _, first = np.unique(rows(connections), axis=0, return_index=True)
    return np.sort(first)


def is_shared(connections: np.ndarray, others: np.ndarray) -> Bool[np.ndarray, " maze"]:
    """Which mazes of a set are also in another one: the leak from training into a test."""
    require_width(
        "the size of the other mazes",
        np.shape(others)[-1],
        np.shape(connections)[-1],
        "place the smaller ones in the larger lattice (shift.Within)",
    )
    known = {row.tobytes() for row in rows(others)}
    return np.array([row.tobytes() in known for row in rows(connections)], bool)
