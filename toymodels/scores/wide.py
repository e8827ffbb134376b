"""Scores of wide dictionaries, without a table of every latent with every feature.

`statistics` keeps two numbers for each pair of a latent and a feature: for 4,096 latents
and 16,384 features half a gigabyte per block and dictionary. Where the decoder decides who
is compared with whom, a pass needs no more than a few numbers a latent. The scores here
have the names and the values that `summary.scores` gives them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from synthetic.base import Batch, GroundTruth
from toymodels.scores import classification, geometry, ranking, summary
from toymodels.scores.matching import Match
from toymodels.scores.statistics import Numbers
from toymodels.scores.streaming import sample

_SMALLEST_NORM = 1e-6


class Partners(NamedTuple):
    """Who is compared with whom.

    Attributes:
        nearest: [latent], the feature of the largest cosine; many to one.
        latent, feature: [pair], the one-to-one matching by cosine.
    """

    nearest: Numbers
    latent: Numbers
    feature: Numbers


class Decoder(NamedTuple):
    """What the rows of a decoder say by themselves.

    Attributes:
        scores: those of `summary.of_decoder`.
        partners: for the pass over samples.
    """

    scores: dict[str, float]
    partners: Partners


class Sums(NamedTuple):
    """Plain sums over samples, so blocks add (`ranking.add`). "On" means non-zero.

    Attributes:
        n: samples.
        z_on, a_on: [latent], [feature]: how often each is on.
        nearest_on: [latent], how often with its nearest feature.
        pair_on: [pair], how often both are.
        x, xx: sums of x - centre [d_model] and of its squared length.
        error: sum of ||x - x_hat||^2.
        norm_ratio, norm_count: as in `statistics.Statistics`.
    """

    n: Numbers
    z_on: Numbers
    a_on: Numbers
    nearest_on: Numbers
    pair_on: Numbers
    x: Numbers
    xx: Numbers
    error: Numbers
    norm_ratio: Numbers
    norm_count: Numbers


def of_decoder(
    W_dec: Float[Array | np.ndarray, "latent d_model"],
    directions: Float[Array | np.ndarray, "feature d_model"],
    absolute: bool = False,
) -> Decoder:
    """The scores and the partners, from one table of cosines and one matching of it.

    For 4,096 latents and 16,384 features a second or two.
    """
    cosine = geometry.cosines(W_dec, directions, absolute)
    pairs: Match = geometry.match(cosine)
    scores = summary.of_decoder(np.asarray(W_dec), cosine, pairs)
    return Decoder(scores, Partners(cosine.argmax(axis=1), pairs.latent, pairs.feature))


def count(
    partners: Partners,
    centre: Float[Array, " d_model"],
    batch: Batch,
    z: Float[Array, "batch latent"],
    x_hat: Float[Array, "batch d_model"],
) -> Sums:
    """The sums of one block. `centre` is near E x, so that nothing cancels."""
    on, present = z != 0, batch.features != 0

    def total(chosen):
        return chosen.sum(0, dtype=jnp.float32)

    off = batch.x - centre
    norm = jnp.linalg.norm(batch.x, axis=-1)
    counted = norm > _SMALLEST_NORM
    ratio = jnp.linalg.norm(x_hat, axis=-1) / jnp.where(counted, norm, 1)
    return Sums(
        jnp.float32(len(z)),
        total(on),
        total(present),
        total(on & present[:, partners.nearest]),
        total(on[:, partners.latent] & present[:, partners.feature]),
        off.sum(0),
        jnp.square(off).sum(),
        jnp.square(batch.x - x_hat).sum(),
        jnp.where(counted, ratio, 0).sum(),
        total(counted),
    )


def member_sums(
    codes: Callable[[PyTree, Batch], tuple[Array, Array]],
    members: PyTree,
    partners: Partners,
    world: GroundTruth,
    key: Key[Array, ""],
    n_samples: int,
    centre: Float[Array, " d_model"],
    block: int = 1_024,
) -> list[Sums]:
    """The sums of many dictionaries on the same samples.

    Args:
        codes: `(member, batch) -> (z, x_hat)`, pure. It sees one block at a time: where
            the codes depend on the batch, `block` is its size.
        members, partners: leaves stacked along a leading axis.
        world: shared by all.
        key: of the samples; block t is drawn from `fold_in(key, t)`, as the batches of a
            stream are. Give the key of a stream, `synthetic.streams.stream_key`, that no
            member was trained on.
        n_samples: rounded up to whole blocks.
        centre: near E x, from any samples.
        block: samples held in memory at once.
    """

    @jax.jit
    def measure(members, partners, centre, batch):
        def one(member_and_partners):
            member, own = member_and_partners
            return count(own, centre, batch, *codes(member, batch))

        return lax.map(one, (members, partners))

    def blocks():
        for t in range(-(-n_samples // block)):
            batch = sample(world, jax.random.fold_in(key, t), block)
            yield jax.device_get(measure(members, partners, centre, batch))

    total = ranking.add(blocks())
    return [jax.tree.map(lambda leaf: leaf[i], total) for i in range(len(total.n))]  # noqa: B023


def scores(decoder: Decoder, sums: Sums) -> dict[str, float]:
    """Scores by name, as in `summary.scores`, of one dictionary."""
    partners = decoder.partners
    found = dict(decoder.scores)
    latent = classification.detection(
        sums.nearest_on, sums.z_on, np.asarray(sums.a_on)[partners.nearest]
    )
    both, on = np.zeros(len(sums.a_on)), np.zeros(len(sums.a_on))
    both[partners.feature] = sums.pair_on
    on[partners.feature] = np.asarray(sums.z_on)[partners.latent]
    feature = classification.detection(both, on, sums.a_on)
    rare = classification.rarest(sums)
    variance = sums.xx - np.square(sums.x).sum() / sums.n
    share = np.asarray(sums.z_on) / sums.n
    return found | {
        "latent_precision": float(latent.precision.mean()),
        "latent_recall": float(latent.recall.mean()),
        "latent_f1": float(latent.f1.mean()),
        "feature_precision": float(feature.precision.mean()),
        "feature_recall": float(feature.recall.mean()),
        "feature_f1": float(feature.f1.mean()),
        "rare_recall": float(feature.recall[rare].mean()),
        "rare_f1": float(feature.f1[rare].mean()),
        "explained_variance": float(1 - sums.error / variance),
        "shrinkage": float(sums.norm_ratio / sums.norm_count),
        "l0": float(share.sum()),
        "true_l0": float(np.sum(sums.a_on) / sums.n),
        "dead": float(np.mean(share == 0)),
        "dense": float(np.mean(share > 0.5)),
    }
