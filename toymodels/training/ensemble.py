"""Many members at once: spread over devices, and on each device in the cheaper order.

On a CPU members run fastest one after another, or a few very small ones side by side, with
their arrays in the cache and one host device per core. On an accelerator all run fastest
side by side.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, ArrayLike, PyTree

MEMBER = "member"


def stack(members: Sequence[PyTree]) -> PyTree:
    """One pytree whose leaves hold all members along a new leading axis.

    Python's numbers become 32 bits wide, whatever JAX's default is; arrays stay as they
    are.
    """
    return jax.tree.map(lambda *leaves: jnp.stack([_leaf(x) for x in leaves]), *members)


def _leaf(x: ArrayLike) -> Array:
    narrow = {float: jnp.float32, int: jnp.int32}
    return jnp.asarray(x, narrow.get(type(x)))


def mesh(n_members: int) -> Mesh:
    """The devices along one axis, no more than there are members."""
    devices = jax.devices()[:n_members]
    return Mesh(np.array(devices), (MEMBER,), axis_types=(AxisType.Auto,))


def over_members(
    function: Callable[..., PyTree],
    n_members: int,
    shared: int = 0,
    block: int | None = None,
) -> Callable[..., PyTree]:
    """`function` for one member, turned into one for `n_members` stacked ones.

    Args:
        function: `(*per_member, *shared) -> result`, pure.
        n_members: the length of the leading axis of every per-member argument.
        shared: how many of the last arguments all members share.
        block: how many members run side by side (`vmap`) on each device, block after
            block (`lax.map`); by default what the platform does faster: one on a CPU, all
            on an accelerator. A block is worth as many small members as fit the cache.

    Returns:
        A function of the stacked arguments; compile it at the outer edge.
    """
    n_devices = mesh(n_members).devices.size
    per_device = math.ceil(n_members / n_devices)
    if block is None:
        block = 1 if jax.default_backend() == "cpu" else per_device
    n_blocks = math.ceil(per_device / block)
    block = math.ceil(per_device / n_blocks)

    def on_one_device(*args):
        own, common = args[: len(args) - shared], args[len(args) - shared :]

        def one(member):
            return function(*member, *common)

        if block == 1:
            return lax.map(one, own)
        blocks = jax.tree.map(lambda x: x.reshape(n_blocks, block, *x.shape[1:]), own)
        done = lax.map(jax.vmap(one), blocks)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), done)

    return over_devices(on_one_device, n_members, shared, n_blocks * block)


def over_devices(
    function: Callable[..., PyTree],
    n_members: int,
    shared: int = 0,
    per_device: int | None = None,
) -> Callable[..., PyTree]:
    """`function` of stacked members, called on every device with its share of them.

    Args:
        function: `(*stacked, *shared) -> stacked result`, pure.
        n_members: the length of the leading axis of every stacked argument.
        shared: how many of the last arguments all devices share.
        per_device: members of each device, by default no more than are needed. Surplus
            places repeat the last member; what they compute is dropped.
    """
    devices = mesh(n_members)
    n_devices = devices.devices.size
    per_device = per_device or math.ceil(n_members / n_devices)
    surplus = n_devices * per_device - n_members

    def pad(x):
        if not surplus:
            return x
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.clone(x)
            last = jax.random.clone(x)[-1:]
        else:
            last = x[-1:]
        return jnp.concatenate([x, jnp.repeat(last, surplus, axis=0)])

    def on_all_devices(*args):
        own, common = args[: len(args) - shared], args[len(args) - shared :]
        specs = (P(MEMBER),) * len(own) + (P(),) * shared
        done = jax.shard_map(
            function,
            mesh=devices,
            in_specs=specs,
            out_specs=P(MEMBER),
            check_vma=False,
        )(*jax.tree.map(pad, own), *common)
        return jax.tree.map(lambda x: x[:n_members], done) if surplus else done

    return on_all_devices
