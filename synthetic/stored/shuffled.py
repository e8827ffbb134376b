"""A bounded store of activations, for those who want to draw each of them once.

Worlds draw fresh samples for every batch, which costs a forward pass of the model behind
them. A store keeps so many rows of a world and no more, on the device and shuffled, so
that rows of one game do not come together. It is a world itself:

    store = shuffled.fill(key, world, shuffled.rows_within(world, 2**28))
    fitted = sae.fit(key_fit, dictionary, store)

`Store.sample` draws from what is stored, without repetition in a batch. `exchange` makes it
a shuffle buffer: rows that are given out make place for as many new ones, so that no row
comes twice, and neighbours in the stream of new rows come out far apart. The store is a
pytree and everything is pure, so both work inside jit. (For rows of your own, drawn with
replacement, there is `synthetic.Stored`.)
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key

from synthetic.base import Batch, GroundTruth
from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_width


@struct.dataclass
class Store:
    """Rows of a world, in random order.

    Raises:
        ValueError: x and features do not have the same rows, or there are none.

    Attributes:
        x: [row, d_model].
        features: [row, feature].
    """

    x: Array
    features: Array

    __repr__ = of_fields

    def __post_init__(self):
        if min(getattr(part, "ndim", 0) for part in (self.x, self.features)) < 2:
            return
        fix = "row i of both is the same sample"
        n_rows = self.features.shape[-2]
        require_width("the number of rows of x", self.n_rows, n_rows, fix)
        fix = "a store must hold something"
        require_range("the number of rows", n_rows, low=1, fix=fix)

    @property
    def n_rows(self) -> int:
        return self.x.shape[-2]

    @property
    def n_features(self) -> int:
        return self.features.shape[-1]

    @property
    def d_model(self) -> int:
        return self.x.shape[-1]

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` different rows, each stored row with the same probability."""
        rows = _different(key, self.n_rows, batch_size)
        return Batch(self.x[rows], self.features[rows])


def rows_within(world: GroundTruth, n_bytes: int) -> int:
    """The number of float32 rows of a world that fit in so many bytes.

    Raises:
        ValueError: not one of them does.
    """
    row = 4 * (world.d_model + world.n_features)
    fix = "a row takes four bytes for each entry of x and each feature"
    require_range("n_bytes", n_bytes, low=row, fix=fix)
    return n_bytes // row


def fill(key: Key[Array, ""], world: GroundTruth, n_rows: int, block: int = 4_096) -> Store:
    """A store of `n_rows` samples of a world.

    Args:
        key: of the samples and of their order.
        world: has samples [batch, d_model].
        n_rows: static.
        block: samples that the world makes at once; static.

    Raises:
        ValueError: there is no room for a row, or samples have another shape.
    """
    require_range("n_rows", n_rows, low=1, fix="a store must hold something")
    require_range("block", block, low=1, fix="an empty batch has no data")
    block = min(block, n_rows)
    key_rows, key_order = jax.random.split(key)
    keys = jax.random.split(key_rows, -(-n_rows // block))
    batches = jax.lax.map(lambda key: world.sample(key, block), keys)
    fix = "store worlds whose samples are single rows, not sequences"
    require_width("the number of axes of x", batches.x.ndim - 1, 2, fix)
    order = jax.random.permutation(key_order, n_rows)
    x, features = (part.reshape(-1, part.shape[-1])[order] for part in batches)
    return Store(x, features)


def exchange(key: Key[Array, ""], store: Store, fresh: Batch) -> tuple[Store, Batch]:
    """Gives out random rows and takes the fresh ones in their places.

    Over many exchanges every row that came in goes out once, or is still there. A row
    stays for a number of exchanges of mean n_rows / batch_size.

    Args:
        key: of the rows.
        store: before.
        fresh: as many rows as are to be given out.

    Returns:
        The store after, and the batch.

    Raises:
        ValueError: the fresh rows have another width, or are more than the store holds.
    """
    fix = "the store holds activations of another model or site"
    require_width("the width of fresh x", fresh.x.shape[-1], store.d_model, fix)
    fix = "the store holds other features"
    n_fresh = fresh.features.shape[-1]
    require_width("the number of fresh features", n_fresh, store.n_features, fix)
    rows = _different(key, store.n_rows, len(fresh.x))
    out = Batch(store.x[rows], store.features[rows])
    x = store.x.at[rows].set(fresh.x.astype(store.x.dtype), unique_indices=True)
    features = store.features.at[rows].set(
        fresh.features.astype(store.features.dtype), unique_indices=True
    )
    return Store(x, features), out


def _different(key: Key[Array, ""], n_rows: int, count: int) -> Int[Array, " row"]:
    """`count` different places of `n_rows`, each as likely as any other.

    One in each of `count` equal parts of a circle of places that starts anywhere: without
    sorting, and rows that are stored in random order leave no trace of the parts.
    """
    fix = "a batch has no more rows than the store; make the store larger"
    require_range("batch_size", count, 1, n_rows, fix)
    key_start, key_part = jax.random.split(key)
    part = n_rows // count
    start = jax.random.randint(key_start, (), 0, n_rows, jnp.int32)
    within = jax.random.randint(key_part, (count,), 0, part, jnp.int32)
    return (start + part * jnp.arange(count) + within) % n_rows
