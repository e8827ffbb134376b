"""Data-parallel training: each device, of one process or many, has a share of a batch.

Members of an ensemble are spread over devices by `toymodels.training.ensemble`; here it is
the samples of every batch. The program stays the one of a single device: the compiler
splits it and adds up gradients across devices, so results agree to rounding.
"""

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from toymodels.training.loop import Sample

DATA = "data"


def mesh() -> Mesh:
    """All devices of all processes along one axis, the batch's."""
    return Mesh(np.array(jax.devices()), (DATA,), axis_types=(AxisType.Auto,))


def over_data(sample: Sample, devices: Mesh) -> Sample:
    """`sample` whose batches are drawn where they are used, a share on each device.

    Args:
        sample: `key -> batch`; every leaf of the batch has the samples along its first
            axis.
        devices: from `mesh`.

    Raises:
        ValueError: while tracing: the devices do not divide the batch.
    """
    split = NamedSharding(devices, PartitionSpec(DATA))

    def placed(leaf):
        if leaf.shape[0] % devices.size:
            raise ValueError(
                f"the batch has {leaf.shape[0]} samples, expected a multiple of "
                f"{devices.size}, the number of devices; change the batch size"
            )
        return lax.with_sharding_constraint(leaf, split)

    return lambda key: jax.tree.map(placed, sample(key))


def replicated(tree: PyTree, devices: Mesh) -> PyTree:
    """`tree` with a copy on every device; each process gives the same values."""
    return jax.device_put(tree, NamedSharding(devices, PartitionSpec()))
