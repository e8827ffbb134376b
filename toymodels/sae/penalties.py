"""What dictionaries with non-negative codes pay for them, as small pytrees of leaves."""

from typing import Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

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


def warm_up(step: Int[Array, ""], n_steps: ArrayLike) -> Float[Array, ""]:
    """min(1, step / n_steps): 0 at step 0, 1 from step `n_steps` on, 1 for no steps."""
    n_steps = jnp.asarray(n_steps, jnp.float32)
    return jnp.where(step < n_steps, step / jnp.maximum(n_steps, 1), 1)


def tilted_mean(errors: Float[Array, " batch"], tilt: ArrayLike) -> Float[Array, ""]:
    r"""sum_b p_b error_b with p = softmax(tilt * error / mean(error)), held constant.

    Its gradient is that of the tilted loss (1 / t) log mean_b exp(t error_b) at
    t = tilt / mean(error): measured against the mean, the tilt has no unit. Positive tilts
    favour samples that are reconstructed badly, negative ones suppress them, and 0 gives
    the mean.
    """
    mean = jnp.mean(errors)
    scale = jnp.where(mean > 0, mean, 1)
    share = jax.nn.softmax(lax.stop_gradient(tilt * errors / scale))
    return jnp.where(jnp.asarray(tilt) == 0, mean, jnp.sum(share * errors))
