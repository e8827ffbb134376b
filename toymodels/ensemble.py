"""Many members at once: spread over devices, and on each device in the cheaper order.

On a CPU small members run fastest one after another, each with its arrays in the cache,
one host device per core. On an accelerator they run fastest side by side.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

MEMBER = "member"


def stack(members: Sequence[PyTree]) -> PyTree:
    """One pytree whose leaves hold all members along a new leading axis."""
    return jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *members
    )


def mesh(n_members: int) -> Mesh:
    """As many of the devices as divide `n_members` evenly, along one axis."""
    devices = jax.devices()
    n_devices = math.gcd(n_members, len(devices))
    return Mesh(np.array(devices[:n_devices]), (MEMBER,), axis_types=(AxisType.Auto,))


def over_members(
    function: Callable[..., PyTree],
    n_members: int,
    shared: int = 0,
    sequential: bool | None = None,
) -> Callable[..., PyTree]:
    """`function` for one member, turned into one for `n_members` stacked ones.

    Args:
        function: `(*per_member, *shared) -> result`, pure.
        n_members: the length of the leading axis of every per-member argument.
        shared: how many of the last arguments all members share.
        sequential: one member after another on each device (`lax.map`) instead of side by
            side (`vmap`); by default what the platform does faster.

    Returns:
        A function of the stacked arguments; compile it at the outer edge.
    """
    if sequential is None:
        sequential = jax.default_backend() == "cpu"

    def on_one_device(*args):
        own, common = args[: len(args) - shared], args[len(args) - shared :]
        if sequential:
            return lax.map(lambda member: function(*member, *common), own)
        return jax.vmap(lambda *member: function(*member, *common))(*own)

    def on_all_devices(*args):
        specs = (P(MEMBER),) * (len(args) - shared) + (P(),) * shared
        return jax.shard_map(
            on_one_device,
            mesh=mesh(n_members),
            in_specs=specs,
            out_specs=P(MEMBER),
            check_vma=False,
        )(*args)

    return on_all_devices
