"""What dictionaries with non-negative codes pay for them, as small pytrees of leaves."""

from typing import Protocol

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.validation import require_range
from toymodels.sae.base import Z


class CodePenalty(Protocol):
    """The mean over a batch of what its codes z >= 0 cost."""

    def __call__(self, z: Z) -> Float[Array, ""]: ...


@struct.dataclass
class L1:
    """sum_i z_i."""

    def __call__(self, z):
        return jnp.mean(jnp.sum(z, axis=-1))


@struct.dataclass
class Power:
    """sum_i (z_i + eps)^p - eps^p, for p < 1 between L1 and L0.

    Without eps the slope at 0 would be infinite. For p = 1 it is the L1 penalty.

    Attributes:
        p: the power; a leaf.
        eps: below which codes pay in proportion, in units of z; a leaf.
    """

    p: ArrayLike = 1.0
    eps: ArrayLike = 1e-3

    def __post_init__(self):
        require_range("p", self.p, low=0.01, fix="at 0 every code would cost the same, 0")
        require_range("eps", self.eps, low=1e-12, fix="the slope at 0 would be infinite")

    def __call__(self, z):
        cost = (z + self.eps) ** self.p - jnp.asarray(self.eps) ** self.p
        return jnp.mean(jnp.sum(cost, axis=-1))
