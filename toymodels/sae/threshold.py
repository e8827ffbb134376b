"""Thresholds that stand for a selection over the batch, as BatchTopK and its like make it.

In training such a variant keeps the largest entries of a whole batch. Outside training
each sample is on its own, and a latent is on where it exceeds a threshold, which is either
tracked from batch to batch or set exactly on a sample (`calibrate`).
"""

from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base
from toymodels.sparse_coding.select import batch_kth_largest


class ThresholdParams(NamedTuple):
    """Affine maps (see `base.Params`) and the threshold that stands for the batch.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model].
        b_dec: [d_model].
        threshold: scalar; outside training a latent is on where it exceeds this. It has no
            gradient: `after` sets it, or `calibrate`.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    threshold: Array

    __repr__ = of_fields


class Memory(NamedTuple):
    """What one batch hands to the next.

    Attributes:
        quiet: [latent], samples of silence (`revival`).
        threshold: scalar, the running mean of the smallest kept value.
        frequency: [latent], the running mean of how often each is on, where latents are
            sorted by it (`frequency`); else nothing.
    """

    quiet: Array
    threshold: Array
    frequency: Any = ()


class Thresholded(base.Dictionary, Protocol):
    """A variant that selects over the batch in training and by a threshold elsewhere."""

    @property
    def k(self) -> ArrayLike: ...

    def candidates(self, params: Any, x: base.X) -> base.Z: ...

    def encode_batch(self, params: Any, x: base.X) -> base.Z: ...


def require_selection(dictionary: Any) -> None:
    """Raises ValueError where the numbers of a selection over the batch make no sense."""
    n_latents = dictionary.n_latents
    require_range("n_latents", n_latents, low=1)
    fix = "it counts the latents that are on in a sample, on average"
    require_range("k", dictionary.k, 1e-3, n_latents, fix)
    require_range("aux", dictionary.aux, low=0.0)
    fix = "it is the weight of one batch in a running mean"
    require_range("threshold_rate", dictionary.threshold_rate, 0.0, 1.0, fix)


def init_tied(key: Array, n_latents: int, d_model: int) -> ThresholdParams:
    """`base.init_tied` and a threshold of 0, which keeps all that is positive."""
    return ThresholdParams(
        *base.init_tied(key, n_latents, d_model), jnp.zeros((), jnp.float32)
    )


def above(z: base.Z, threshold: ArrayLike) -> base.Z:
    """`z` with all entries that do not exceed the threshold set to 0."""
    return jnp.where(z > threshold, z, 0)


def tracked(
    threshold: Float[Array, ""],
    z: Float[Array, "batch latent"],
    rate: ArrayLike,
    step: Int[Array, ""],
) -> Float[Array, ""]:
    """The running mean of the smallest positive entry of `z`, after one more batch.

    The weight of the new batch is `rate`, or 1 / (step + 1) while that is larger. A batch
    without a positive entry changes nothing.
    """
    z = lax.stop_gradient(z)
    smallest = jnp.min(jnp.where(z > 0, z, jnp.inf)).astype(threshold.dtype)
    weight = jnp.maximum(rate, 1 / (step + 1)).astype(threshold.dtype)
    moved = threshold + weight * (smallest - threshold)
    return jnp.where(jnp.isfinite(smallest), moved, threshold)


def exact_threshold(z: Float[Array, "*batch latent"], k: ArrayLike) -> Float[Array, ""]:
    """A threshold that exactly round(k * batch) entries of `z` >= 0 exceed.

    It lies halfway between the last entry above it and the first below, so that rounding
    in another program does not move either across. 0 where fewer entries are positive;
    entries that tie at the last place are all above.
    """
    z = z.reshape(-1, z.shape[-1])
    last = batch_kth_largest(z, k)
    kept = (z >= last) & (z > 0)
    lowest_kept = jnp.min(jnp.where(kept, z, jnp.inf))
    highest_left = jnp.max(jnp.where(kept, 0, z))
    middle = highest_left + (lowest_kept - highest_left) * 0.5
    # Between two neighbouring numbers there is no third.
    threshold = jnp.where(middle < lowest_kept, middle, highest_left)
    return jnp.where(last > 0, threshold, 0)


def calibrate(dictionary: Any, params: Any, x: base.X) -> Any:
    """`params` with the threshold at which `encode` has a mean L0 of k on `x`.

    Exact on the sample: round(k * n) latents are on in its n rows, unless fewer are
    positive, where the threshold is 0, or several tie at the last place. A variant with
    thresholds of another kind offers `calibrate(params, x)` itself; a wrapper is calibrated
    as the variant in it; for any other variant `params` come back as they are.
    """
    if hasattr(dictionary, "calibrate"):
        return dictionary.calibrate(params, x)
    if hasattr(dictionary, "encode_batch"):
        z = dictionary.candidates(params, x)
        return params._replace(threshold=exact_threshold(z, dictionary.k))
    if hasattr(dictionary, "inner"):
        return calibrate(dictionary.inner, params, x)
    return params
