"""Arrays and worlds of other libraries, without importing those."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.base import Batch

_BY_CHANCE = np.log(1e-9)


def as_numpy(value: Any) -> np.ndarray:
    """Any array or tensor; bfloat16 and half precision of tensors become float32."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    if getattr(value, "is_sparse", False):
        value = value.to_dense()
    return (value.float() if value.is_floating_point() else value).numpy()


def as_batch(output: Any) -> Any:
    """What `sample` returned as a batch: x and features of an object or a dictionary, or a
    pair of these.

    Raises:
        TypeError: it is none of these.
    """
    if hasattr(output, "x") and hasattr(output, "features"):
        return output
    if isinstance(output, dict) and {"x", "features"} <= output.keys():
        return Batch(output["x"], output["features"])
    if isinstance(output, tuple | list) and len(output) == 2:
        return Batch(*output)
    came = f"a {type(output).__name__}"
    if isinstance(output, dict):
        came += f" with {', '.join(map(str, output)) or 'nothing'}"
    elif isinstance(output, tuple | list):
        came += f" of {len(output)}"
    raise TypeError(
        f"the world's sample returned {came}, expected x and features; return "
        "synthetic.Batch(x, features)"
    )


def repeated(first: Float[np.ndarray, "row i"], second: Float[np.ndarray, "row i"]) -> bool:
    """Whether two draws are equal, which fresh ones are not but by chance.

    Fresh rows would all agree with probability prod_i p_i, p_i being how frequent row i is
    in the first draw: by chance it is where that exceeds 1e-9, as when all rows are 0.
    """
    if not np.array_equal(first, second):
        return False
    count = np.unique(first, axis=0, return_counts=True)[1]
    return bool(count @ np.log(count / len(first)) < _BY_CHANCE)


class Outside:
    """A world that JAX cannot compile, called with keys outside `jit`.

    What was drawn for a key is kept, in main memory, and given again for that key: such a
    world may have a generator of its own and take no notice of the key, and everything that
    is compared must see the same samples. Arrays of any library become float32.

    Raises:
        ValueError: when sampled: shapes are not [batch, width] with the same widths each
            time, entries are not finite, or a batch is one that was drawn before.
        TypeError: when sampled: `sample` failed, or returned something else.

    Attributes:
        world: the other's.
        n_features, d_model: of its first batch.
    """

    def __init__(self, world: Any, key: Key[Array, ""], batch_size: int):
        self.world = world
        self._kept: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}
        self._seen: dict[str, set[int]] = {"x": set(), "features": set()}
        self.d_model = self.n_features = None
        batch = self.sample(key, batch_size)
        self.d_model, self.n_features = batch.x.shape[1], batch.features.shape[1]

    @property
    def directions(self) -> Array:
        return jnp.asarray(as_numpy(self.world.directions), jnp.float32)

    @property
    def parents(self) -> Any:
        parents = getattr(self.world, "parents", None)
        return None if parents is None else as_numpy(parents)

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """A batch for this key: the one that was drawn before, or a fresh one."""
        name = (np.asarray(_bits(key)).tobytes(), batch_size)
        if name not in self._kept:
            self._kept[name] = self._draw(key, batch_size)
        return Batch(*map(jnp.asarray, self._kept[name]))

    def _draw(self, key: Key[Array, ""], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            output = self.world.sample(key, batch_size)
        except (TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise TypeError(
                f"the world's sample raised {type(error).__name__} ({reason}), expected "
                "x and features; sample(key, batch_size) takes a key and an int"
            ) from error
        batch = as_batch(output)
        x = self._table("x", batch.x, batch_size, self.d_model)
        features = self._table("features", batch.features, batch_size, self.n_features)
        self._require_fresh("x", x)
        self._require_fresh("features", features)
        return x, features

    def _table(self, name: str, value: Any, batch_size: int, width: int | None):
        table = as_numpy(value)
        expected = (batch_size, *(table.shape[1:2] if width is None else (width,)))
        if table.ndim != 2 or table.shape != expected:
            raise ValueError(
                f"{name} of the world's sample has shape {table.shape}, expected "
                f"[{batch_size}, {width or 'width'}]; rows are samples"
            )
        if table.dtype.kind not in "fiub" or not np.isfinite(table).all():
            raise ValueError(
                f"{name} of the world's sample holds NaN, infinity or no numbers "
                f"({table.dtype}), expected finite numbers; look at what sample computes"
            )
        return table.astype(np.float32)

    def _require_fresh(self, name: str, table: np.ndarray) -> None:
        digest = hash(table.tobytes())
        if digest in self._seen[name] and repeated(table, table):
            raise ValueError(
                f"the world's sample gave the same {name} for two keys, expected fresh "
                "samples each time; draw from the key, or give the stored rows as "
                "synthetic.Stored.of_arrays(x, features, directions)"
            )
        self._seen[name].add(digest)


def _bits(key: Key[Array, ""]) -> Array:
    is_key = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if is_key else key
