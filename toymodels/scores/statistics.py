"""Sufficient statistics of a dictionary on a world: one pass, any number of samples.

`measure` reduces a block of samples to counts and centred moments; `merge` joins two
blocks. Blocks leave the device in float32, where counts up to 2**24 are exact and moments
are taken about the block's own mean, kept as two float32 numbers; `merge` then runs in
float64 on the host, so nothing cancels however many samples go by.
"""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from synthetic.base import Batch

Numbers = Array | np.ndarray

_SMALLEST_NORM = 1e-6
_RUN = 64


class Statistics(NamedTuple):
    """Sums over samples; "on" means non-zero.

    Attributes:
        n: number of samples.
        z_on, a_on: [latent], [feature]: how often each is on.
        both_on: [latent, feature]: how often both are.
        z_mean, a_mean: [latent], [feature].
        z_low, a_low: what rounding took from these means; add it. `on_host` has.
        z_m2, a_m2: sums of squared deviations from the mean.
        za: [latent, feature]: sums of products of deviations.
        x_mean, x_low: [d_model], likewise.
        x_m2: sum of ||x - E x||^2.
        error: sum of ||x - x_hat||^2.
        norm_ratio: sum of ||x_hat|| / ||x|| over samples with ||x|| > 1e-6.
        norm_count: the number of those samples.
    """

    n: Numbers
    z_on: Numbers
    a_on: Numbers
    both_on: Numbers
    z_mean: Numbers
    a_mean: Numbers
    z_low: Numbers
    a_low: Numbers
    z_m2: Numbers
    a_m2: Numbers
    za: Numbers
    x_mean: Numbers
    x_low: Numbers
    x_m2: Numbers
    error: Numbers
    norm_ratio: Numbers
    norm_count: Numbers


def measure(
    batch: Batch, z: Float[Array, "batch latent"], x_hat: Float[Array, "batch d_model"]
) -> Statistics:
    """The statistics of one block of at most 2**24 samples."""
    x, features = batch.x, batch.features
    if not 0 < x.shape[0] <= 2**24:
        raise ValueError(
            f"a block has {x.shape[0]} samples, expected 1 to {2**24}; merge more blocks"
        )
    z_on, a_on = (z != 0).astype(jnp.float32), (features != 0).astype(jnp.float32)
    z_mean, z_low, z_off = _centred(z)
    a_mean, a_low, a_off = _centred(features)
    x_mean, x_low, x_off = _centred(x)
    norm = jnp.linalg.norm(x, axis=-1)
    counted = norm > _SMALLEST_NORM
    ratio = jnp.linalg.norm(x_hat, axis=-1) / jnp.where(counted, norm, 1)
    return Statistics(
        n=jnp.float32(x.shape[0]),
        z_on=z_on.sum(0),
        a_on=a_on.sum(0),
        both_on=z_on.T @ a_on,
        z_mean=z_mean,
        a_mean=a_mean,
        z_low=z_low,
        a_low=a_low,
        z_m2=jnp.square(z_off).sum(0),
        a_m2=jnp.square(a_off).sum(0),
        za=_products(z_off, a_off),
        x_mean=x_mean,
        x_low=x_low,
        x_m2=jnp.square(x_off).sum(),
        error=jnp.square(x - x_hat).sum(),
        norm_ratio=jnp.where(counted, ratio, 0).sum(),
        norm_count=counted.sum(dtype=jnp.float32),
    )


def _centred(values: Float[Array, "batch item"]):
    """The mean, what its rounding to float32 left out, and what is left about both."""
    mean = values.mean(0)
    off = values - mean
    low = off.mean(0)
    return mean, low, off - low


def _products(a: Float[Array, "batch i"], b: Float[Array, "batch j"]):
    """a^T b in full float32.

    A lone row or column is summed in runs: XLA's matrix-vector product on a CPU adds up
    one by one and would be off by 1e-4 after 8,192 samples.
    """
    if 1 in (a.shape[1], b.shape[1]):
        a, b = (jnp.pad(v, ((0, -len(v) % _RUN), (0, 0))) for v in (a, b))
        a, b = (v.reshape(-1, _RUN, v.shape[1]) for v in (a, b))
        return jnp.einsum("rsi,rsj->rij", a, b, precision=lax.Precision.HIGHEST).sum(0)
    return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST)


def merge(a: Statistics, b: Statistics) -> Statistics:
    """The statistics of both blocks together (Chan, Golub & LeVeque 1983).

    M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n, and likewise for products.
    """
    n = a.n + b.n
    weight = a.n * b.n / n
    z_step = (b.z_mean - a.z_mean) + (b.z_low - a.z_low)
    a_step = (b.a_mean - a.a_mean) + (b.a_low - a.a_low)
    x_step = (b.x_mean - a.x_mean) + (b.x_low - a.x_low)
    summed = {
        name: getattr(a, name) + getattr(b, name)
        for name in ("z_on", "a_on", "both_on", "error", "norm_ratio", "norm_count")
    }
    return Statistics(
        n=n,
        z_mean=a.z_mean + z_step * (b.n / n),
        a_mean=a.a_mean + a_step * (b.n / n),
        x_mean=a.x_mean + x_step * (b.n / n),
        z_low=a.z_low,
        a_low=a.a_low,
        x_low=a.x_low,
        z_m2=a.z_m2 + b.z_m2 + z_step**2 * weight,
        a_m2=a.a_m2 + b.a_m2 + a_step**2 * weight,
        za=a.za + b.za + z_step[..., :, None] * a_step[..., None, :] * weight,
        x_m2=a.x_m2 + b.x_m2 + (x_step**2).sum(-1) * weight,
        **summed,
    )


def on_host(block: Statistics) -> Statistics:
    """The same numbers in NumPy float64, the means whole."""
    host = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), block)
    return host._replace(
        z_mean=host.z_mean + host.z_low,
        a_mean=host.a_mean + host.a_low,
        x_mean=host.x_mean + host.x_low,
        z_low=np.zeros_like(host.z_low),
        a_low=np.zeros_like(host.a_low),
        x_low=np.zeros_like(host.x_low),
    )


def merge_all(blocks: Iterable[Statistics]) -> Statistics:
    """All blocks together, in float64 on the host."""
    return reduce(merge, map(on_host, blocks))


def above_rounding(m2: Numbers, mean: Numbers) -> np.ndarray:
    """`m2`, or 0 where all deviations together are below one float32 step of the mean.

    That much is left of a constant, whose float32 mean need not be itself.
    """
    return np.where(m2 > np.square(np.finfo(np.float32).eps * mean), m2, 0.0)
