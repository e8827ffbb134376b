"""How well a latent's size ranks samples by whether its feature is present.

Whether a latent is on hides much: a latent that is always on a little has no precision,
yet a threshold would make it a perfect detector. Here each feature and its latent (a pair
fixed beforehand) are compared at many thresholds at once, counted block by block: AUROC,
average precision, the best F1. A pass over calibration samples sets the thresholds.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from synthetic.base import Batch
from toymodels.scores.classification import ratio
from toymodels.scores.matching import Match
from toymodels.scores.statistics import Numbers

_ROUNDING = 1e-4  # what float32 leaves of a constant's spread, of its sum of squares
_TENTHS = np.arange(10) / 10
# 0 (on at all), the tenths, and steps of 8 % between: shares of a latent's largest value.
SHARES = np.unique(np.concatenate([_TENTHS, 1.08 ** np.arange(-96.0, 1.0)]))


class Chosen(NamedTuple):
    """The pairs to count, and where to count them.

    Attributes:
        latent, feature: [pair], which belong together.
        largest: [pair], the latent's largest |z| on the calibration samples.
        z_ref, a_ref: [pair], about where their values lie when the feature is present;
            sums are taken about them, so that nothing cancels.
    """

    latent: Numbers
    feature: Numbers
    largest: Numbers
    z_ref: Numbers
    a_ref: Numbers


class Counts(NamedTuple):
    """Plain sums over samples, so blocks add. [threshold, pair] or [pair].

    Attributes:
        n: samples.
        above: how often |z| > share * largest.
        hits: how often that, with the feature present.
        present: how often the feature is present.
        z, a, zz, aa, za: sums, over samples with the feature present, of z - z_ref,
            a - a_ref and their products.
    """

    n: Numbers
    above: Numbers
    hits: Numbers
    present: Numbers
    z: Numbers
    a: Numbers
    zz: Numbers
    aa: Numbers
    za: Numbers


def choose(pairs: Match, batch: Batch, z: Float[Array, "batch latent"]) -> Chosen:
    """Thresholds and references from calibration samples."""
    z = jnp.asarray(z)[:, pairs.latent]
    a = batch.features[:, pairs.feature]
    present = a != 0
    count = jnp.maximum(present.sum(0), 1)
    return Chosen(
        pairs.latent,
        pairs.feature,
        jnp.abs(z).max(0),
        jnp.where(present, z, 0).sum(0) / count,
        a.sum(0) / count,
    )


def count(chosen: Chosen, batch: Batch, z: Float[Array, "batch latent"]) -> Counts:
    """The counts of one block."""
    z, a = z[:, chosen.latent], batch.features[:, chosen.feature]
    present = a != 0
    size = jnp.abs(z)

    def at(share):
        above = size > share * chosen.largest
        return above.sum(0, dtype=jnp.float32), (above & present).sum(0, dtype=jnp.float32)

    above, hits = lax.map(at, jnp.asarray(SHARES, z.dtype))
    z_off = jnp.where(present, z - chosen.z_ref, 0)
    a_off = jnp.where(present, a - chosen.a_ref, 0)
    return Counts(
        jnp.float32(len(z)),
        above,
        hits,
        present.sum(0, dtype=jnp.float32),
        z_off.sum(0),
        a_off.sum(0),
        jnp.square(z_off).sum(0),
        jnp.square(a_off).sum(0),
        (z_off * a_off).sum(0),
    )


def _rates(counts: Counts):
    """Hits and false alarms, from none on (an endless threshold) to all."""
    absent = counts.n - counts.present
    ends = np.zeros_like(counts.present)
    hits = np.stack([ends, *counts.hits[::-1], counts.present])
    alarms = np.stack([ends, *(counts.above - counts.hits)[::-1], absent])
    return hits, alarms, absent


def auroc(counts: Counts) -> Float[np.ndarray, " pair"]:
    """P(|z| is larger with the feature than without), ties counting half.

    The trapezoid rule over the thresholds: values between two thresholds count as tied.
    Floor 1/2, also where the feature is never or always present; ceiling 1.
    """
    hits, alarms, absent = _rates(counts)
    area = np.sum((hits[1:] + hits[:-1]) / 2 * np.diff(alarms, axis=0), axis=0)
    possible = counts.present * absent
    return np.where(possible > 0, ratio(area, possible), 0.5)


def average_precision(counts: Counts) -> Float[np.ndarray, " pair"]:
    """sum_t (recall_t - recall_{t-1}) precision_t, from the highest threshold down.

    Values between two thresholds count as tied, which costs a noisy latent up to 0.03.
    Floor: the feature's frequency (a latent that ranks at random); ceiling 1.
    """
    hits, alarms, _ = _rates(counts)
    precision = ratio(hits[1:], hits[1:] + alarms[1:])
    return ratio(np.sum(np.diff(hits, axis=0) * precision, axis=0), counts.present)


def threshold_f1(counts: Counts) -> Float[np.ndarray, " pair"]:
    """The best F1 over |z| > t * largest, t in {0, 0.1, ..., 0.9}.

    The protocol of Karvonen et al. (2024) for board games, with one latent per feature.
    The threshold is chosen on the samples it is scored on: a little optimistic.
    """
    tenths = np.searchsorted(SHARES, _TENTHS)
    total = counts.above[tenths] + counts.present
    return ratio(2 * counts.hits[tenths], total).max(axis=0)


class WhenPresent(NamedTuple):
    """The latent's value against the feature's where the feature is present.

    Attributes:
        slope: Cov(z, a) / Var(a); NaN where the feature's value does not vary.
        r2: the squared correlation; NaN likewise, 0 for a constant latent.
    """

    slope: Float[np.ndarray, " pair"]
    r2: Float[np.ndarray, " pair"]


def when_present(counts: Counts) -> WhenPresent:
    """Slope and R^2 of z on a over samples with the feature present, by pair.

    Multiply the slope by ||w_i|| for the amplitude that reaches the reconstruction.
    """
    n = np.maximum(counts.present, 1)
    za = counts.za - counts.z * counts.a / n
    zz, aa = counts.zz - counts.z**2 / n, counts.aa - counts.a**2 / n
    aa = np.where(aa > _ROUNDING * counts.aa, aa, np.nan)
    zz = np.where(zz > _ROUNDING * counts.zz, zz, np.inf)
    return WhenPresent(np.asarray(za / aa), np.asarray(za**2 / (zz * aa)))


def add(blocks: Iterable[Any]) -> Any:
    """The sums of all blocks together, in float64 on the host."""

    def plus(a, b):
        return jax.tree.map(np.add, a, b)

    on_host = (jax.tree.map(lambda v: np.asarray(v, np.float64), b) for b in blocks)
    return reduce(plus, on_host)
