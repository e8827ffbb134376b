"""Every score by name, from the statistics of a dictionary."""

import numpy as np
from jaxtyping import Array, Float

from toymodels.scores import (
    absorption,
    classification,
    correlation,
    geometry,
    hedging,
    ranking,
    reconstruction,
    wrong_l0,
)
from toymodels.scores.geometry import Cosines
from toymodels.scores.matching import Match
from toymodels.scores.mixing import Mixing, features_per_latent
from toymodels.scores.statistics import Statistics

Rows = Float[Array | np.ndarray, "row d_model"]


def scores(
    statistics: Statistics, W_dec: Rows, directions: Rows, absolute: bool = False
) -> dict[str, float]:
    """Every score that needs no second look at the samples.

    See the modules of this package for their formulas. With `absolute`, cosines and the
    correlations of `mcc_act` are magnitudes.

    Raises:
        ValueError: a statistic, `W_dec` or `directions` is not finite, or widths differ.
    """
    cosine = geometry.cosines(W_dec, directions, absolute)
    pairs = geometry.match(cosine)
    sampled = of_samples(statistics, W_dec, cosine, pairs, absolute)
    return of_decoder(W_dec, cosine, pairs) | sampled


def of_decoder(W_dec: Rows, cosine: Cosines, pairs: Match) -> dict[str, float]:
    """Scores of the decoder alone. They have no sampling error."""
    several = len(cosine) > 1
    return {
        "mcc_dec": float(pairs.value.mean()),
        "recovered": float(pairs.value.sum() / cosine.shape[1]),
        "feature_max_cosine": geometry.feature_max_cosine(cosine),
        "latent_max_cosine": geometry.latent_max_cosine(cosine),
        "coverage_0.8": geometry.coverage(cosine, 0.8),
        "coverage_0.9": geometry.coverage(cosine, 0.9),
        "uniqueness": geometry.uniqueness(cosine),
        "decoder_cosine": wrong_l0.mean_decoder_cosine(W_dec) if several else 0.0,
    }


def of_samples(
    statistics: Statistics,
    W_dec: Rows,
    cosine: Cosines,
    pairs: Match,
    absolute: bool = False,
) -> dict[str, float]:
    """Scores of codes and reconstructions, the matching by cosine held fixed."""
    require_finite(statistics)
    latent = classification.by_latent(statistics, cosine)
    feature = classification.of_pairs(statistics, pairs)
    amplitude = correlation.amplitude(statistics, W_dec, pairs)
    matched = amplitude.slope[pairs.feature[statistics.a_on[pairs.feature] > 0]]
    disentangled = correlation.dci(statistics)
    split = hedging.latents_per_feature(statistics)
    rare = classification.rarest(statistics)
    return {
        "mcc_act": correlation.mcc_act(statistics, absolute),
        "latent_precision": float(latent.precision.mean()),
        "latent_recall": float(latent.recall.mean()),
        "latent_f1": float(latent.f1.mean()),
        "feature_precision": float(feature.precision.mean()),
        "feature_recall": float(feature.recall.mean()),
        "feature_f1": float(feature.f1.mean()),
        "best_f1": float(classification.by_best_latent(statistics).f1.mean()),
        "phi": float(classification.phi(statistics, pairs).mean()),
        "rare_recall": float(feature.recall[rare].mean()),
        "rare_f1": float(feature.f1[rare].mean()),
        "amplitude_slope": float(matched.mean()) if len(matched) else 0.0,
        "amplitude_r2": float(amplitude.r2.mean()),
        "disentanglement": disentangled.disentanglement,
        "completeness": disentangled.completeness,
        "latents_per_feature": float(split[split > 0].mean()) if split.any() else 0.0,
        "explained_variance": reconstruction.explained_variance(statistics),
        "shrinkage": reconstruction.shrinkage(statistics),
        "l0": reconstruction.l0(statistics),
        "true_l0": reconstruction.true_l0(statistics),
        "dead": reconstruction.dead(statistics),
        "dense": reconstruction.dense(statistics),
    }


def of_ranking(
    counts: ranking.Counts, statistics: Statistics, pairs: Match
) -> dict[str, float]:
    """Scores of the matched latents' sizes; an unmatched feature counts at its floor."""
    auroc = np.full(len(statistics.a_on), 0.5)
    precision = np.asarray(statistics.a_on / statistics.n)
    f1 = np.zeros(len(auroc))
    auroc[pairs.feature] = ranking.auroc(counts)
    precision[pairs.feature] = ranking.average_precision(counts)
    f1[pairs.feature] = ranking.threshold_f1(counts)
    return {
        "auroc": float(auroc.mean()),
        "average_precision": float(precision.mean()),
        "threshold_f1": float(f1.mean()),
    }


def of_mixing(mixing: Mixing, pairs: Match) -> dict[str, float]:
    """Scores of what the decoder's rows are made of; rows of zeros are left out."""
    merged = features_per_latent(mixing)
    return {
        "features_per_latent": float(merged[merged > 0].mean()) if merged.any() else 0.0,
        "hedging": hedging.hedging(mixing, pairs).share,
    }


def of_hierarchy(watched: absorption.Watched, sums: absorption.Sums) -> dict[str, float]:
    """Absorption, averaged over the edges; NaN where no edge could be measured."""
    found = absorption.absorption(watched, sums)
    return {
        "absorption_gap": absorption.mean(found.gap),
        "absorption_gap_of_child": absorption.mean(found.gap_of_child),
        "absorption_mass": absorption.mean(found.mass),
    }


def require_finite(statistics: Statistics) -> None:
    """Raises ValueError unless every statistic is finite."""
    for name, numbers in statistics._asdict().items():
        if not np.isfinite(numbers).all():
            raise ValueError(
                f"{name} over the samples is NaN or infinite, expected finite numbers; "
                "look for samples on which encode or decode overflows or divides by 0"
            )
