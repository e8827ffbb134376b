"""Floors and ceilings: what chance reaches, and what the truth itself reaches."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from synthetic.base import Batch, KnownDirections
from synthetic.directions import random

X = Float[Array, "*batch d_model"]


class RandomDictionary(NamedTuple):
    """Random unit directions, read by their own transpose above one threshold.

    The floor for a trained dictionary of the same width and the same L0.

    Attributes:
        W_dec: [latent, d_model], unit rows.
        threshold: what a projection must exceed to count as on.
        center: [d_model], subtracted before and added after.
    """

    W_dec: Array
    threshold: Array
    center: Array

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        """z = (x - center) W_dec^T where it exceeds the threshold, and z W_dec + center."""
        z = (batch.x - self.center) @ self.W_dec.T
        z = jnp.where(z > self.threshold, z, 0)
        return z, z @ self.W_dec + self.center


def random_at_l0(
    key: Key[Array, ""],
    x: Float[Array, "batch d_model"],
    n_latents: int,
    l0: float,
) -> RandomDictionary:
    """A random dictionary whose mean L0 on `x` is `l0`."""
    W_dec = random(key, n_latents, x.shape[-1])
    center = x.mean(0)
    projections = (x - center) @ W_dec.T
    share_off = jnp.clip(1 - l0 / n_latents, 0, 1)
    threshold = jnp.quantile(projections, share_off)
    return RandomDictionary(W_dec, threshold, center)


class Oracle(NamedTuple):
    """The ceiling: true codes and true directions. What it misses is noise.

    Attributes:
        directions: [feature, d_model], the world's.
        bias: [d_model], the mean of what the features leave over.
    """

    directions: Array
    bias: Array

    def codes(self, batch: Batch) -> tuple[Array, Array]:
        """The true features and their reconstruction."""
        return batch.features, batch.features @ self.directions + self.bias


def oracle(world: KnownDirections, batch: Batch) -> Oracle:
    """The oracle dictionary of a world, its bias taken from `batch`."""
    return Oracle(world.directions, (batch.x - batch.features @ world.directions).mean(0))
