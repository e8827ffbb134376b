"""Board reconstruction: whole boards put together from latents of high precision.

On a training sample, a latent at a share of its largest value (`detection`) is labelled
with each property that it predicts with a precision of 0.95 or more and at least ten hits.
On other boards a property is claimed where any latent with its label is on. The score is
the F1 of all claims on all boards, pooled (Karvonen et al. 2024, arXiv 2408.00113).

`as_published` chooses the share on the boards it scores, by a stricter F1 in which a right
claim does not count on a square that has a wrong one too. `corrected` chooses it on the
training sample and subtracts what a latent that is always on reaches (it carries the label
of every property of frequency 0.95 or more; often there is none and it reaches 0).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from toymodels.scores import intervals
from toymodels.scores.classification import ratio
from toymodels.scores.detection import (
    N_BLOCKS,
    SHARES,
    Counts,
    Sample,
    chance_corrected,
    in_blocks,
)

PRECISION, HITS = 0.95, 10


class Claims(NamedTuple):
    """What labelled latents claim of boards, counted; [block, share].

    Attributes:
        hits: claimed and true.
        false: claimed and not true.
        missed: true and not claimed.
        mixed: squares with a right and a wrong claim.
        always: [block], hits of the labels that an always-on latent has.
        always_false: [block], its false claims.
        true: [block], all properties that were true.
    """

    hits: Float[np.ndarray, "block share"]
    false: Float[np.ndarray, "block share"]
    missed: Float[np.ndarray, "block share"]
    mixed: Float[np.ndarray, "block share"]
    always: Float[np.ndarray, " block"]
    always_false: Float[np.ndarray, " block"]
    true: Float[np.ndarray, " block"]


def labels(
    counts: Counts, precision: float = PRECISION, hits: int = HITS
) -> Bool[np.ndarray, "share latent property"]:
    """Which properties each latent stands for at each share."""
    return (ratio(counts.both, counts.on[..., None]) >= precision) & (counts.both >= hits)


def claims(
    counts: Counts,
    sample: Sample,
    squares: Int[np.ndarray, " property"] | None = None,
    n_blocks: int = N_BLOCKS,
) -> Claims:
    """The claims on a sample of latents labelled by the counts of another (or the same).

    Args:
        counts: of the training sample.
        sample: boards to put together.
        squares: of each property, the square it speaks of, counted from 0; each property
            is a square of its own by default, so that no square has two claims.
        n_blocks: of consecutive rows.
    """
    n_properties = len(counts.present)
    squares = np.arange(n_properties) if squares is None else np.asarray(squares)
    on_square = jax.nn.one_hot(squares, int(squares.max()) + 1, dtype=jnp.float32)
    blocks = in_blocks(sample, n_blocks)
    found = _claims(
        blocks.z,
        blocks.properties,
        jnp.asarray(counts.largest),
        jnp.asarray(labels(counts), jnp.float32),
        on_square,
    )
    hits, false, missed, mixed = (np.asarray(part, float) for part in found)
    often = counts.present / counts.n >= PRECISION
    constant = often & (counts.present >= HITS)
    present = np.asarray(blocks.properties.sum(axis=1), float)
    always = present[:, constant]
    always_false = (blocks.n[:, None] - always).sum(axis=1)
    sums = (always.sum(axis=1), always_false, present.sum(axis=1))
    return Claims(hits, false, missed, mixed, *sums)


@jax.jit
def _claims(z, properties, largest, labelled, on_square):
    """hits, false, missed and mixed, [block, share]."""

    def of_block(block):
        z, true = block

        def at(setting):
            share, of_latents = setting
            on = (z > share * largest).astype(jnp.float32)
            claimed = on @ of_latents > 0
            right, wrong = claimed & true, claimed & ~true
            mixed = (right @ on_square > 0) & (wrong @ on_square > 0)
            return right.sum(), wrong.sum(), (true & ~claimed).sum(), mixed.sum()

        return lax.map(at, (jnp.asarray(SHARES, z.dtype), labelled))

    return lax.map(of_block, (z, properties))


def by_share(found: Claims) -> Float[np.ndarray, " share"]:
    """2 hits / (2 hits + false + missed), pooled over all boards."""
    hits, false, missed, _ = (part.sum(axis=0) for part in found[:4])
    return ratio(2 * hits, 2 * hits + false + missed)


def by_share_of_squares(found: Claims) -> Float[np.ndarray, " share"]:
    """The same, a right claim beside a wrong one on its square not counted as a hit."""
    hits, false, missed, mixed = (part.sum(axis=0) for part in found[:4])
    clean = hits - mixed
    return ratio(2 * clean, 2 * clean + false + missed)


def as_published(found: Claims) -> float:
    """F1 at the share that is best on the same boards by `by_share_of_squares`."""
    return float(by_share(found)[by_share_of_squares(found).argmax()])


def corrected(
    key: Key[Array, ""], train: Claims, held_out: Claims, draws: int = 200
) -> Mapping[str, intervals.Interval]:
    """F1 on held-out boards, at the share that is best on the training sample.

    f1: as claimed. floor: that of an always-on latent. corrected: (f1 - floor) /
    (1 - floor). The intervals are a bootstrap over the blocks of the held-out boards.
    """
    share = int(by_share(train).argmax())

    def scores(weights):
        hits, false, missed = (weights @ part[:, share] for part in held_out[:3])
        reached = float(ratio(2 * hits, 2 * hits + false + missed))
        always, wrong, true = (weights @ part for part in held_out[4:])
        floor = float(ratio(2 * always, always + wrong + true))
        value = chance_corrected(reached, floor)
        return {"f1": reached, "floor": floor, "corrected": value}

    return intervals.bootstrap(scores, intervals.resample(key, len(held_out.hits), draws))
