"""Hand-made dictionaries whose scores are known in closed form.

The toy: four features, every two of their directions with the same cosine c, in a space
with room to spare. c = 0 is orthonormal; c = -1/3 is a simplex, four features in three
dimensions; c = 0.3 leans the features together. The samples are the full factorial of five
factors with the levels (0, 0, 1), so the features (four of the factors) are exactly
independent, on with probability p = 1/3 and variance v = 2/9, and every expectation below
is exact. The fifth factor is noise that no feature explains.

What one wants of a score: an oracle gets 1, what does not matter does not change it, and
each way to fail costs what the algebra says.
"""

from itertools import product
from typing import NamedTuple

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import summary
from toymodels.scores.statistics import measure, on_host

FACTORIAL = np.array(list(product([0, 0, 1], repeat=5)), float)
FEATURES, NOISE = FACTORIAL[:, :4], FACTORIAL[:, 4]
P, VAR = 1 / 3, 2 / 9
PERFECT = {
    "mcc_dec": 1,
    "recovered": 1,
    "feature_max_cosine": 1,
    "latent_max_cosine": 1,
    "coverage_0.8": 1,
    "coverage_0.9": 1,
    "uniqueness": 1,
    "mcc_act": 1,
    "latent_precision": 1,
    "latent_recall": 1,
    "latent_f1": 1,
    "feature_precision": 1,
    "feature_recall": 1,
    "feature_f1": 1,
    "best_f1": 1,
    "phi": 1,
    "rare_recall": 1,
    "rare_f1": 1,
    "amplitude_slope": 1,
    "amplitude_r2": 1,
    "disentanglement": 1,
    "completeness": 1,
    "latents_per_feature": 1,
    "explained_variance": 1,
    "shrinkage": 1,
    "l0": 4 * P,
    "true_l0": 4 * P,
    "dead": 0,
    "dense": 0,
}
# Float32 sums of 243 terms, at worst one by one: 243 * 6e-8 = 1.5e-5 relative.
CLOSE = 1.5e-5

compiled = jax.jit(measure)


class Toy(NamedTuple):
    """Four directions with pairwise cosine c, and one that is orthogonal to all."""

    c: float
    directions: np.ndarray
    spare: np.ndarray


def equicorrelated(c: float) -> Toy:
    values, vectors = np.linalg.eigh((1 - c) * np.eye(4) + c)
    rows = np.pad(vectors * np.sqrt(np.clip(values, 0, None)), ((0, 0), (0, 3)))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 7)))[0]
    return Toy(c, rows @ turn, turn[-1])


def scores(toy: Toy, W_dec, z, b_dec=0.0, absolute=False) -> dict[str, float]:
    """Scores of the codes `z` and the decoder z W_dec + b_dec on the factorial samples."""
    batch = Batch(np.float32(FEATURES @ toy.directions), np.float32(FEATURES))
    x_hat = np.float32(z @ W_dec + b_dec)
    statistics = on_host(compiled(batch, np.float32(z), x_hat))
    return summary.scores(statistics, W_dec, toy.directions, absolute)


def assert_scores(found: dict[str, float], **expected: float) -> None:
    assert found.keys() == PERFECT.keys() | {"decoder_cosine"}
    wrong = {
        name: (found[name], value)
        for name, value in expected.items()
        if found[name] != pytest.approx(value, abs=CLOSE)
    }
    assert not wrong, "score: (found, expected)"


def mean_with(count: int, *others: float) -> float:
    """The mean over `count` perfect items and the others."""
    return (count + sum(others)) / (count + len(others))


@pytest.fixture(params=[0.0, -1 / 3, 0.3], ids=["orthonormal", "simplex", "leaning"])
def toy(request) -> Toy:
    toy = equicorrelated(request.param)
    gram = toy.directions @ toy.directions.T
    expected = np.full((4, 4), toy.c) + (1 - toy.c) * np.eye(4)
    np.testing.assert_allclose(gram, expected, atol=1e-12)
    return toy


@pytest.fixture
def orthonormal() -> Toy:
    return equicorrelated(0.0)


def test_oracle(toy):
    found = scores(toy, toy.directions, FEATURES)
    assert_scores(found, **PERFECT, decoder_cosine=abs(toy.c))


def test_permuted_latents_change_nothing(toy):
    order = [2, 0, 3, 1]
    assert_scores(scores(toy, toy.directions[order], FEATURES[:, order]), **PERFECT)


def test_permuted_latents_of_a_poor_dictionary_change_nothing(toy):
    rng = np.random.default_rng(1)
    W_dec = rng.normal(size=(5, 7))
    z = np.maximum(FEATURES @ toy.directions @ W_dec.T, 0)
    order = [4, 2, 0, 3, 1]
    assert_scores(scores(toy, W_dec[order], z[:, order]), **scores(toy, W_dec, z))


def test_scaled_rows_change_nothing(toy):
    scale = np.array([0.01, 1.0, 3.0, 100.0])
    found = scores(toy, toy.directions * scale[:, None], FEATURES / scale)
    assert_scores(found, **PERFECT)


def test_codes_matched_to_the_wrong_rows(toy):
    """The decoder is right, the codes belong to other rows: only the decoder scores 1."""
    found = scores(toy, toy.directions, np.roll(FEATURES, 1, axis=1))
    together = 2 * P * P / (P + P)  # F1 of two independent events
    expected = {"mcc_dec": 1, "recovered": 1, "uniqueness": 1, "mcc_act": 1}
    expected |= dict.fromkeys(["latent_precision", "latent_recall"], P)
    expected |= dict.fromkeys(["feature_precision", "feature_recall"], P)
    expected |= {"latent_f1": together, "feature_f1": together}
    # E||x - x_hat||^2 = E||sum_j (a_j - a_{j-1}) d_j||^2, with neighbours correlated -1/2.
    expected["explained_variance"] = 1 - (8 * VAR - 8 * VAR * toy.c) / (4 * VAR)
    assert_scores(found, **expected)


def test_sign_flip(toy):
    """z and W_dec both negated reconstruct perfectly, and no latent is a feature.

    Matched pairs then avoid the diagonal, where the cosine is -1, and get -c.
    """
    found = scores(toy, -toy.directions, -FEATURES)
    expected = {name: -toy.c for name in ("mcc_dec", "recovered")}
    expected |= {name: -toy.c for name in ("feature_max_cosine", "latent_max_cosine")}
    expected |= {"explained_variance": 1, "l0": 4 * P, "mcc_act": 0, "dead": 0}
    assert_scores(found, **expected)
    absolute = scores(toy, -toy.directions, -FEATURES, absolute=True)
    assert_scores(absolute, **PERFECT | {"amplitude_slope": -1})


def test_sign_flip_of_a_lone_feature():
    """With nothing else to match, mcc_dec is -1."""
    toy = Toy(0.0, np.eye(4)[:1], np.eye(4)[1])
    batch = Batch(np.float32(FEATURES[:, :1] @ toy.directions), np.float32(FEATURES[:, :1]))
    z = -batch.features
    statistics = on_host(compiled(batch, z, batch.x))
    signed = summary.scores(statistics, -toy.directions, toy.directions)
    assert_scores(signed, mcc_dec=-1, recovered=-1, mcc_act=-1, feature_max_cosine=-1)
    absolute = summary.scores(statistics, -toy.directions, toy.directions, absolute=True)
    assert_scores(absolute, mcc_dec=1, recovered=1, mcc_act=1, feature_max_cosine=1)


def test_decoder_flipped_alone(toy):
    """x_hat = -x: the error is 4 E||x||^2."""
    found = scores(toy, -toy.directions, FEATURES, absolute=True)
    second_moment = 4 * P + 12 * toy.c * P**2
    flipped = PERFECT | {"explained_variance": 1 - 4 * second_moment / (4 * VAR)}
    assert_scores(found, **flipped)


def test_absolute_confuses_antipodal_features():
    """d and -d are two features; |cos| cannot tell them apart, the sign can."""
    rows = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    toy = Toy(0.0, rows, rows[0])
    assert_scores(scores(toy, rows, FEATURES), **PERFECT)
    assert_scores(scores(toy, rows, FEATURES, absolute=True), mcc_dec=1, uniqueness=1 / 2)


def test_duplicated_latents(toy):
    """Each feature twice, at half strength: found as before, half as unique."""
    W_dec, z = np.tile(toy.directions, (2, 1)), np.tile(FEATURES / 2, 2)
    twice = {"uniqueness": 1 / 2, "l0": 8 * P, "amplitude_slope": 1 / 2}
    twice |= {"latents_per_feature": 2, "completeness": 1 - np.log(2) / np.log(8)}
    assert_scores(scores(toy, W_dec, z), **PERFECT | twice)


def test_copies_of_one_feature(toy):
    """All latents on one feature: perfect per latent, one quarter of the features."""
    W_dec, z = np.tile(toy.directions[:1], (4, 1)), np.tile(FEATURES[:, :1] / 4, 4)
    found = scores(toy, W_dec, z)
    assert_scores(
        found,
        mcc_dec=mean_with(1, *[toy.c] * 3),
        recovered=mean_with(1, *[toy.c] * 3),
        feature_max_cosine=mean_with(1, *[toy.c] * 3),
        latent_max_cosine=1,
        uniqueness=1 / 4,
        latent_precision=1,
        latent_recall=1,
        latent_f1=1,
        mcc_act=1 / 4,
        # The three latents left over are matched to independent features.
        feature_precision=mean_with(1, P, P, P),
        feature_recall=mean_with(1, P, P, P),
        feature_f1=mean_with(1, P, P, P),
        best_f1=mean_with(1, P, P, P),
        phi=1 / 4,
        amplitude_slope=1 / 16,
        amplitude_r2=1 / 4,
        disentanglement=1,
        completeness=0,
        latents_per_feature=4,
    )


def test_merged_pair(toy):
    """One latent for features 0 and 1: on when either is, pointing between them."""
    between = toy.directions[0] + toy.directions[1]
    length = np.sqrt(2 + 2 * toy.c)
    # A hair towards feature 0, so that no tie decides which of the two is nearest.
    W_dec = np.stack([between + 1e-9 * toy.directions[0], *toy.directions[2:]])
    z = np.stack([(FEATURES[:, 0] + FEATURES[:, 1]) / 2, *FEATURES.T[2:]], axis=1)
    cosine = (1 + toy.c) / length
    either = 1 - (1 - P) ** 2
    precision, f1 = P / either, 2 * P / (either + P)
    assert_scores(
        scores(toy, W_dec, z),
        mcc_dec=mean_with(2, cosine),
        recovered=mean_with(2, cosine, 0),
        feature_max_cosine=mean_with(2, cosine, cosine),
        latent_max_cosine=mean_with(2, cosine),
        uniqueness=1,
        mcc_act=mean_with(2, np.sqrt(1 / 2)),
        latent_precision=mean_with(2, precision),
        latent_recall=1,
        latent_f1=mean_with(2, f1),
        feature_precision=mean_with(2, precision, 0),
        feature_recall=mean_with(3, 0),
        feature_f1=mean_with(2, f1, 0),
        best_f1=mean_with(2, f1, f1),
        amplitude_r2=mean_with(2, 1 / 2, 0),
        # What is lost is (a_0 - a_1)/2 (d_0 - d_1).
        explained_variance=1 - (2 * VAR / 4) * (2 - 2 * toy.c) / (4 * VAR),
        l0=either + 2 * P,
    )


def test_split_feature(toy):
    """Two latents for feature 0, tilted by t: one where feature 1 is present, one else."""
    t = 0.4
    tilted = [
        np.cos(t) * toy.directions[0] + sign * np.sin(t) * toy.spare for sign in (1, -1)
    ]
    W_dec = np.stack([*tilted, *toy.directions[1:]])
    # A hair better aligned, so that no tie decides which half is matched: the rarer.
    W_dec[0] -= 1e-9 * toy.spare
    present = FEATURES[:, 1] > 0
    halves = [FEATURES[:, 0] * present, FEATURES[:, 0] * ~present]
    z = np.stack([*halves, *FEATURES.T[1:]], axis=1)
    rare, common = P, 1 - P  # shares of feature 0 that each half catches
    f1 = {share: 2 * share / (1 + share) for share in (rare, common)}
    assert_scores(
        scores(toy, W_dec, z),
        mcc_dec=mean_with(3, np.cos(t)),
        recovered=mean_with(3, np.cos(t)),
        feature_max_cosine=mean_with(3, np.cos(t)),
        latent_max_cosine=mean_with(3, np.cos(t), np.cos(t)),
        uniqueness=4 / 5,
        # corr(a s, a) for independent a ~ Bernoulli(p), s ~ Bernoulli(q).
        mcc_act=mean_with(3, np.sqrt(common * (1 - P) / (1 - common * P))),
        latent_precision=1,
        latent_recall=mean_with(3, rare, common),
        latent_f1=mean_with(3, f1[rare], f1[common]),
        best_f1=mean_with(3, f1[common]),
        # The rarer half says feature 0 and feature 1 alike: it is a part of both.
        latents_per_feature=mean_with(
            2, rare**-rare * common**-common, 4 ** (1 / 4) * (4 / 3) ** (3 / 4)
        ),
        feature_precision=1,
        feature_recall=mean_with(3, rare),
        feature_f1=mean_with(3, f1[rare]),
        # What is lost is a_0 ((1 - cos t) d_0 -+ sin t spare), squared length 2 - 2 cos t,
        # with p = E a_0^2; nothing else.
        explained_variance=1 - P * (2 - 2 * np.cos(t)) / (4 * VAR),
        l0=4 * P,
        dead=0,
    )


def test_absorbed_child(toy):
    """The latent of feature 0 is silent where feature 1 is present, whose row has d_0."""
    parent, child = FEATURES[:, 0], FEATURES[:, 1]
    absorbing = toy.directions[1] + 0.5 * toy.directions[0]
    W_dec = np.stack([toy.directions[0], absorbing, *toy.directions[2:]])
    z = np.stack([parent * (child == 0), child, *FEATURES.T[2:]], axis=1)
    cosine = (1 + toy.c / 2) / np.sqrt(1.25 + toy.c)
    recall = 1 - P
    f1 = 2 * recall / (1 + recall)
    assert_scores(
        scores(toy, W_dec, z),
        mcc_dec=mean_with(3, cosine),
        uniqueness=1,
        latent_precision=1,
        feature_precision=1,
        latent_recall=mean_with(3, recall),
        feature_recall=mean_with(3, recall),
        latent_f1=mean_with(3, f1),
        feature_f1=mean_with(3, f1),
        mcc_act=mean_with(3, np.sqrt(recall * (1 - P) / (1 - recall * P))),
    )


@pytest.mark.parametrize("row", ["spare", "zero"])
def test_dead_latents(toy, row):
    """As many dead latents as live ones: they halve what is averaged over latents."""
    rows = np.tile(toy.spare if row == "spare" else np.zeros(7), (4, 1))
    W_dec, z = np.concatenate([toy.directions, rows]), np.pad(FEATURES, ((0, 0), (0, 4)))
    halved = ("latent_precision", "latent_recall", "latent_f1", "latent_max_cosine")
    expected = PERFECT | dict.fromkeys(halved, 1 / 2) | {"uniqueness": 1 / 2, "dead": 1 / 2}
    # A spare row has cosine 0 with every feature up to 1e-16: which one is nearest is left
    # to rounding, so uniqueness is stated only for the row of zeros (nearest: the first).
    if row == "spare":
        del expected["uniqueness"]
    assert_scores(scores(toy, W_dec, z), **expected)


def test_all_latents_dead(toy):
    found = scores(toy, toy.directions, np.zeros_like(FEATURES))
    expected = dict.fromkeys(PERFECT, 0.0) | {"dead": 1, "true_l0": 4 * P}
    expected |= {
        name: 1
        for name in PERFECT
        if name.endswith("cosine") or name.startswith(("uniqueness", "coverage"))
    }
    second_moment = 4 * P + 12 * toy.c * P**2
    expected |= {
        "mcc_dec": 1,
        "recovered": 1,
        "explained_variance": 1 - second_moment / (4 * VAR),
    }
    assert_scores(found, **expected)


def test_always_on_latent(orthonormal):
    """A constant latent, its direction removed again by the bias."""
    toy = orthonormal
    W_dec = np.concatenate([toy.directions, toy.spare[None]])
    z = np.pad(FEATURES, ((0, 0), (0, 1)), constant_values=0.7)
    assert_scores(
        scores(toy, W_dec, z, b_dec=-0.7 * toy.spare),
        **PERFECT
        | {
            "l0": 4 * P + 1,
            "dense": 1 / 5,
            "uniqueness": 4 / 5,
            "latent_max_cosine": mean_with(4, 0),
            # Against any feature: present in P of the samples, never missed.
            "latent_precision": mean_with(4, P),
            "latent_f1": mean_with(4, 2 * P / (1 + P)),
        },
    )


def test_rotated_plane(toy):
    """Latents 0 and 1 span the plane of their features, turned by 30 degrees."""
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = np.array([[cos, sin], [-sin, cos]])
    W_dec = np.concatenate([turn @ toy.directions[:2], toy.directions[2:]])
    z = np.concatenate([FEATURES[:, :2] @ turn.T, FEATURES[:, 2:]], axis=1)
    both = 2 * sin * cos * toy.c
    pair = (cos + sin * toy.c) / np.sqrt(1 + both), (cos - sin * toy.c) / np.sqrt(1 - both)
    either = 1 - (1 - P) ** 2
    precision, f1 = P / either, 2 * P / (either + P)
    averaged = {"precision": mean_with(2, precision, precision), "recall": 1}
    averaged["f1"] = mean_with(2, f1, f1)
    assert_scores(
        scores(toy, W_dec, z),
        mcc_dec=mean_with(2, *pair),
        recovered=mean_with(2, *pair),
        uniqueness=1,
        mcc_act=mean_with(2, cos, cos),
        explained_variance=1,
        shrinkage=1,
        l0=2 * either + 2 * P,
        **{f"latent_{name}": value for name, value in averaged.items()},
        **{f"feature_{name}": value for name, value in averaged.items()},
    )


def test_noise_latent(orthonormal):
    """A latent that fires on its own, in a direction of its own."""
    toy = orthonormal
    W_dec = np.concatenate([toy.directions, toy.spare[None]])
    z = np.concatenate([FEATURES, NOISE[:, None]], axis=1)
    assert_scores(
        scores(toy, W_dec, z),
        **PERFECT
        | {
            "l0": 5 * P,
            "uniqueness": 4 / 5,
            "latent_max_cosine": mean_with(4, 0),
            "latent_precision": mean_with(4, P),
            "latent_recall": mean_with(4, P),
            "latent_f1": mean_with(4, P),
            "explained_variance": 1 - P / (4 * VAR),
            "shrinkage": np.mean(
                [
                    np.sqrt(1 + e / s)
                    for e, s in zip(NOISE, FEATURES.sum(1), strict=True)
                    if s > 0
                ]
            ),
        },
    )


@pytest.mark.parametrize("bias", [False, True])
def test_fewer_latents_than_features(toy, bias):
    """Two of four features: per pair all is well, per feature half is missing.

    Without a bias for the mean of what is missing, its error counts too.
    """
    missing = toy.directions[2:]
    found = scores(
        toy, toy.directions[:2], FEATURES[:, :2], P * missing.sum(0) if bias else 0.0
    )
    lost = 2 * VAR if bias else 2 * P + 2 * toy.c * P**2
    half = ("recovered", "feature_precision", "feature_recall", "feature_f1", "phi")
    half += ("coverage_0.8", "coverage_0.9", "amplitude_r2")
    expected = PERFECT | dict.fromkeys(half, 1 / 2)
    expected["best_f1"] = mean_with(2, P, P)  # of independent events
    expected |= {"l0": 2 * P, "explained_variance": 1 - lost / (4 * VAR)}
    expected |= {"feature_max_cosine": mean_with(2, toy.c, toy.c)}
    del expected["shrinkage"]
    assert_scores(found, **expected)


def test_hedged_latent(orthonormal):
    """A lone latent for feature 0 with some of feature 1 mixed in (2505.11756)."""
    mixed = orthonormal.directions[0] + 0.5 * orthonormal.directions[1]
    cosine = 1 / np.sqrt(1.25)
    assert_scores(
        scores(orthonormal, mixed[None], FEATURES[:, :1]),
        mcc_dec=cosine,
        recovered=cosine / 4,
        latent_max_cosine=cosine,
        feature_max_cosine=(1 + 0.5) * cosine / 4,
        latent_f1=1,
        feature_f1=1 / 4,
        mcc_act=1,
    )


def test_shrunk_codes(toy):
    """Codes at 80 %: every detector is perfect, the norm ratio is 0.8."""
    second_moment = 4 * P + 12 * toy.c * P**2
    lost = {"explained_variance": 1 - 0.2**2 * second_moment / (4 * VAR)}
    found = scores(toy, toy.directions, 0.8 * FEATURES)
    assert_scores(found, **PERFECT | lost | {"shrinkage": 0.8, "amplitude_slope": 0.8})
