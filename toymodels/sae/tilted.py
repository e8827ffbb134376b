"""Tilted means: hard samples count more (TERM, Li et al. 2021, arXiv 2007.01162)."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float


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
