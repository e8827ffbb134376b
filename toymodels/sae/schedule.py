"""Schedules of a penalty's weight, with every number a leaf."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int


def warm_up(step: Int[Array, ""], n_steps: ArrayLike) -> Float[Array, ""]:
    """min(1, step / n_steps): 0 at step 0, 1 from step `n_steps` on, 1 for no steps."""
    n_steps = jnp.asarray(n_steps, jnp.float32)
    return jnp.where(step < n_steps, step / jnp.maximum(n_steps, 1), 1)
