"""One pass over a world's samples with one dictionary, kept block by block."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from synthetic.base import Batch, KnownDirections
from toymodels.scores import absorption, geometry, intervals, mixing, ranking, summary
from toymodels.scores.geometry import Cosines
from toymodels.scores.intervals import Interval
from toymodels.scores.matching import Match
from toymodels.scores.mixing import Mixing
from toymodels.scores.statistics import Statistics, measure, merge_all, on_host
from toymodels.scores.streaming import sample

Codes = Callable[[Batch], tuple[Any, Any]]

_ROOM = 2**26  # numbers of one kind that the blocks may hold together


class Rows(NamedTuple):
    """What a decoder's rows say by themselves; for wide worlds this takes seconds.

    Attributes:
        W_dec: [latent, d_model].
        cosine, pairs: with the true directions, and the one-to-one matching by it.
        mixing: of the decoder.
        absolute: whether the cosines are magnitudes, and correlations are to be.
    """

    W_dec: np.ndarray
    cosine: Cosines
    pairs: Match
    mixing: Mixing
    absolute: bool


class Evaluation(NamedTuple):
    """What a pass leaves.

    Attributes:
        W_dec, cosine, pairs, mixing, absolute: see `Rows`.
        statistics: of all samples.
        counts: of the pairs at many thresholds.
        watched, sums: of the hierarchy; None without one.
        blocks: (statistics, counts, sums), stacked; None where they would not fit.
    """

    W_dec: np.ndarray
    cosine: Cosines
    pairs: Match
    mixing: Mixing
    absolute: bool
    statistics: Statistics
    counts: ranking.Counts
    watched: absorption.Watched | None
    sums: absorption.Sums | None
    blocks: Any


def rows_of(
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    world: KnownDirections,
    absolute: bool = False,
) -> Rows:
    """One table of cosines, one matching, one mixing matrix."""
    rows = np.asarray(W_dec)
    cosine = geometry.cosines(rows, world.directions, absolute)
    true = geometry.unit_rows(np.asarray(world.directions))
    mixed = mixing.decoder_mixing(rows, true)
    return Rows(rows, cosine, geometry.match(cosine), mixed, absolute)


def reordered(rows: Rows, order: Int[np.ndarray, " latent"]) -> Rows:
    """Those of `W_dec[order]`, without matching them anew."""
    place = np.argsort(order)
    pairs = rows.pairs._replace(latent=place[rows.pairs.latent])
    return Rows(
        rows.W_dec[order], rows.cosine[order], pairs, rows.mixing[order], rows.absolute
    )


def evaluate(
    codes: Codes,
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    world: KnownDirections,
    keys: Key[Array, " block"],
    block: int,
    example: Batch,
    absolute: bool = False,
    keep_blocks: bool = False,
) -> Evaluation:
    """The pass of a decoder that is met for the first time; see `evaluate_rows`."""
    rows = rows_of(W_dec, world, absolute)
    return evaluate_rows(codes, rows, world, keys, block, example, keep_blocks)


def evaluate_rows(
    codes: Codes,
    rows: Rows,
    world: KnownDirections,
    keys: Key[Array, " block"],
    block: int,
    example: Batch,
    keep_blocks: bool = False,
) -> Evaluation:
    """The pass. `codes` gives z and x_hat; `example` sets thresholds.

    The hierarchy is the world's `parents`, where it has any. Blocks are kept up to 2^26
    pairs of a latent and a feature together.
    """
    cosine, pairs, mixed = rows.cosine, rows.pairs, rows.mixing
    parents = getattr(world, "parents", None)
    watched = None
    if parents is not None and (np.asarray(parents) >= 0).any():
        watched = absorption.watch(np.asarray(parents), pairs, mixed)
    chosen = _choose(pairs, example, jnp.asarray(codes(example)[0]))
    keep_blocks = keep_blocks and len(keys) * cosine.size <= _ROOM

    def passes():
        for key in keys:
            batch = sample(world, key, block)
            z, x_hat = codes(batch)
            yield _reduce(chosen, watched, batch, jnp.asarray(z), jnp.asarray(x_hat))

    if keep_blocks:
        found = [_on_host(one) for one in passes()]
        statistics = merge_all(one[0] for one in found)
        counts, sums = ranking.add(one[1:] for one in found)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *found)
    else:
        statistics, (counts, sums) = _merged(passes())
        stacked = None
    return Evaluation(*rows, statistics, counts, watched, sums, stacked)


_choose = jax.jit(ranking.choose)


@jax.jit
def _reduce(chosen, watched, batch: Batch, z, x_hat):
    sums = None if watched is None else absorption.count(watched, batch, z)
    return measure(batch, z, x_hat), ranking.count(chosen, batch, z), sums


def _on_host(one):
    statistics, *sums = jax.device_get(one)
    return (on_host(statistics), *sums)


def _merged(passes):
    """Statistics and sums without keeping the blocks."""
    sums: list[Any] = []

    def statistics():
        for one in passes:
            found, *rest = jax.device_get(one)
            sums[:] = [ranking.add([*sums, tuple(rest)])]
            yield found

    return merge_all(statistics()), sums[0]


def values(found: Evaluation) -> dict[str, float]:
    """Every score of a pass by name."""
    decoder = summary.of_decoder(found.W_dec, found.cosine, found.pairs)
    sampled = _sampled(found, found.statistics, found.counts, found.sums)
    return decoder | sampled | summary.of_mixing(found.mixing, found.pairs)


def _sampled(found: Evaluation, statistics, counts, sums) -> dict[str, float]:
    rows = (found.W_dec, found.cosine, found.pairs, found.absolute)
    scores = summary.of_samples(statistics, *rows)
    scores |= summary.of_ranking(counts, statistics, found.pairs)
    if found.watched is not None:
        scores |= summary.of_hierarchy(found.watched, sums)
    return scores


def sampling_intervals(
    found: Evaluation, key: Key[Array, ""], draws: int
) -> dict[str, Interval]:
    """95 % intervals of the scores that depend on samples; none without blocks or draws."""
    if found.blocks is None or draws == 0 or len(found.blocks[0].n) < 2:
        return {}
    statistics, counts, sums = found.blocks

    def scores(weights):
        resampled = intervals.weighted(statistics, weights)
        rest = intervals.weighted_sums((counts, sums), weights)
        return _sampled(found, resampled, *rest)

    weights = intervals.resample(key, len(statistics.n), draws)
    return intervals.bootstrap(scores, weights)
