"""Coverage: how well single latents detect the properties of a board (or of any state).

A latent with a threshold is a classifier: phi(x) = [z_i(x) > share * m_i], where m_i is its
largest value on a training sample and share is 0, 0.1, ..., 0.9 (at 1.0, which the source
also lists, nothing of that sample is on). Coverage is the mean over properties of the F1 of
the best latent, at one share for all (Karvonen et al. 2024, arXiv 2408.00113).

`as_published` picks and scores on the same sample and divides by whatever is counted as a
property: in the published code also by the masked class "empty", so that Othello's scale
ends at 2/3. `corrected` picks latents and share on the training sample, scores them on
held-out rows, averages over the properties that occur, and subtracts chance: a latent that
is always on has F1 = 2p / (1 + p) for a property of frequency p, and scores 0 here.
Intervals are a bootstrap over blocks of held-out rows.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from synthetic.validation import require_range, require_width
from toymodels.scores import intervals
from toymodels.scores.classification import ratio

SHARES = np.arange(10) / 10
N_BLOCKS = 32


class Sample(NamedTuple):
    """Latents and properties of the same rows; rows of one game follow each other.

    Attributes:
        z: latent values.
        properties: what is true.
    """

    z: Float[Array, "row latent"]
    properties: Bool[Array, "row property"]


class Counts(NamedTuple):
    """How often latents are on and properties true in a sample.

    Attributes:
        n: rows.
        largest: the value that shares are of.
        on: [share, latent].
        present: [property].
        both: [share, latent, property].
    """

    n: int
    largest: Float[np.ndarray, " latent"]
    on: Float[np.ndarray, "share latent"]
    present: Float[np.ndarray, " property"]
    both: Float[np.ndarray, "share latent property"]


class Detectors(NamedTuple):
    """The latent chosen for each property, at one share.

    Attributes:
        share: index into `SHARES`.
        latent: [property].
        threshold: [property], share times the latent's largest value.
        occurs: [property], whether the property was seen; others are not scored.
    """

    share: int
    latent: Int[np.ndarray, " property"]
    threshold: Float[np.ndarray, " property"]
    occurs: Bool[np.ndarray, " property"]


class Blocks(NamedTuple):
    """A sample in equal blocks; rows that only fill the last are never on nor true.

    Attributes:
        n: [block], the rows of each that were in the sample.
        z: [block, row, latent].
        properties: [block, row, property].
    """

    n: Int[np.ndarray, " block"]
    z: Float[Array, "block row latent"]
    properties: Bool[Array, "block row property"]


def in_blocks(sample: Sample, n_blocks: int = N_BLOCKS) -> Blocks:
    """Consecutive rows, so that a game is cut at most where two blocks meet.

    Raises:
        ValueError: there are fewer rows than blocks, or z and properties differ in rows.
    """
    z, properties = jnp.asarray(sample.z), jnp.asarray(sample.properties, bool)
    n = len(z)
    require_range("the number of rows", n, low=n_blocks, fix="each block needs a row")
    fix = "each row of z belongs to a row of properties"
    require_width("the number of rows of properties", len(properties), n, fix)
    size = -(-n // n_blocks)
    missing = [(0, n_blocks * size - n), (0, 0)]
    z = jnp.pad(z, missing, constant_values=-jnp.inf)
    properties = jnp.pad(properties, missing)
    rows = np.clip(n - size * np.arange(n_blocks), 0, size)
    return Blocks(rows, *(a.reshape(n_blocks, size, -1) for a in (z, properties)))


def count(sample: Sample, largest: Float[Array, " latent"] | None = None) -> Counts:
    """The counts of a sample, exact up to 2^24 rows; a latent's largest value is the
    sample's unless `largest` is given.
    """
    blocks = in_blocks(sample)
    if largest is None:
        largest = blocks.z.max(axis=(0, 1))
    found = _sums(blocks.z, blocks.properties, jnp.asarray(largest))
    on, present, both = (np.asarray(part, float) for part in found)
    return Counts(int(blocks.n.sum()), np.asarray(largest), on, present, both)


@jax.jit
def _sums(z, properties, largest):
    """on, present and both, summed block by block."""

    def of_block(block):
        z, true = block[0], block[1].astype(jnp.float32)

        def at(share):
            on = (z > share * largest).astype(jnp.float32)
            return on.sum(0), on.T @ true

        on, both = lax.map(at, jnp.asarray(SHARES, z.dtype))
        return on, true.sum(0), both

    def add(total, block):
        return jax.tree.map(jnp.add, total, of_block(block)), None

    shapes = jax.eval_shape(of_block, (z[0], properties[0]))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return lax.scan(add, zeros, (z, properties))[0]


def f1(counts: Counts) -> Float[np.ndarray, "share latent property"]:
    """2 N_both / (N_on + N_present); 0 where neither ever is."""
    return ratio(2 * counts.both, counts.on[..., None] + counts.present)


def as_published(counts: Counts, n_slots: int | None = None) -> float:
    """max over shares of sum over properties of max over latents of F1, over `n_slots`.

    Args:
        counts: of the sample that is scored.
        n_slots: what the sum is divided by; the number of properties by default. Published
            Othello scores divide the sum over 128 properties by 192.
    """
    best = f1(counts).max(axis=1)
    return float(best.sum(axis=-1).max() / (n_slots or best.shape[-1]))


def select(counts: Counts) -> Detectors:
    """The best latent of each property at the share with the best mean F1.

    Raises:
        ValueError: no property occurs.
    """
    occurs = counts.present > 0
    fix = "give more rows, or properties that can be true"
    require_range("the number of properties that occur", occurs.sum(), low=1, fix=fix)
    scores = f1(counts)
    share = int(scores.max(axis=1)[:, occurs].mean(axis=-1).argmax())
    latent = scores[share].argmax(axis=0)
    threshold = SHARES.astype(np.float32)[share] * counts.largest[latent]
    return Detectors(share, latent, threshold, occurs)


def chance_corrected(score: float, floor: float) -> float:
    """(score - floor) / (1 - floor): 0 at the floor, 1 at the ceiling."""
    return (score - floor) / (1 - floor) if floor < 1 else np.nan


def corrected(
    key: Key[Array, ""],
    detectors: Detectors,
    sample: Sample,
    draws: int = 200,
    n_blocks: int = N_BLOCKS,
) -> Mapping[str, intervals.Interval]:
    """Scores of chosen latents on rows they were not chosen on.

    coverage: the mean F1 over the properties that occurred in both samples. floor: the
    same of a latent that is always on. corrected: (coverage - floor) / (1 - floor).

    Args:
        key: of the bootstrap.
        detectors: from `select` on a training sample.
        sample: held-out rows.
        draws: of the bootstrap.
        n_blocks: of consecutive rows, which are drawn together.
    """
    n, both, on, present = _held_out_counts(detectors, sample, n_blocks)

    def scores(weights):
        hits, fired, true = (weights @ part for part in (both, on, present))
        seen = true > 0
        reached = ratio(2 * hits, fired + true)[seen].mean()
        rate = true[seen] / (weights @ n)
        floor = (2 * rate / (1 + rate)).mean()
        value = chance_corrected(reached, floor)
        return {"coverage": reached, "floor": floor, "corrected": value}

    return intervals.bootstrap(scores, intervals.resample(key, n_blocks, draws))


def by_property(detectors: Detectors, sample: Sample) -> Float[np.ndarray, " property"]:
    """Held-out F1 of each property's latent; NaN where the property did not occur."""
    _, both, on, present = _held_out_counts(detectors, sample, n_blocks=1)
    values = np.full(len(detectors.occurs), np.nan)
    values[detectors.occurs] = ratio(2 * both, on + present)[0]
    return values


def _held_out_counts(detectors: Detectors, sample: Sample, n_blocks: int):
    """Rows [block]; hits, latent on and property true [block, property that occurs]."""
    blocks = in_blocks(sample, n_blocks)
    seen = detectors.occurs
    on = blocks.z[..., detectors.latent[seen]] > detectors.threshold[seen]
    true = blocks.properties[..., seen]
    parts = (on & true, on, true)
    return blocks.n, *(np.asarray(part.sum(axis=1), float) for part in parts)
