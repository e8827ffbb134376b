"""Ranking scores against sorting all samples, and in closed form."""

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import ranking
from toymodels.scores.matching import Match

SAMPLES = 3_000
compiled = jax.jit(ranking.count)
choose = jax.jit(ranking.choose)


def counted(z, a, blocks: int = 3) -> ranking.Counts:
    """Pairs (i, i), calibrated on the first block, counted on all."""
    z, a = np.asarray(z, np.float32), np.asarray(a, np.float32)
    pairs = Match(np.arange(z.shape[1]), np.arange(z.shape[1]), np.ones(z.shape[1]))
    parts = np.array_split(np.arange(len(z)), blocks)
    batches = [Batch(a[p], a[p]) for p in parts]
    chosen = choose(pairs, batches[0], z[parts[0]])
    return ranking.add(
        compiled(chosen, batch, z[p]) for batch, p in zip(batches, parts, strict=True)
    )


def sorted_auroc(z, present) -> float:
    """P(z with > z without) + P(equal) / 2, from all pairs."""
    gap = z[present][:, None] - z[~present]
    return float(np.mean((gap > 0) + (gap == 0) / 2))


def sorted_average_precision(z, present) -> float:
    order = np.argsort(-z)
    hits = np.cumsum(present[order])
    return float(np.sum(present[order] * hits / np.arange(1, len(z) + 1)) / present.sum())


class Noisy:
    """Feature present in 20 %, its value U(1, 2); latents ever noisier, never 0."""

    def __init__(self):
        rng = np.random.default_rng(0)
        present = rng.random((SAMPLES, 3)) < 0.2
        self.a = np.where(present, rng.uniform(1, 2, present.shape), 0)
        noise = rng.uniform(0, 1, present.shape) * [0.5, 1.5, 4]
        self.z = np.asarray(self.a + noise + 0.01, np.float32)
        self.counts = counted(self.z, self.a)


@pytest.fixture(scope="module")
def noisy() -> Noisy:
    return Noisy()


def test_auroc_is_that_of_sorting(noisy):
    expected = [sorted_auroc(z, a != 0) for z, a in zip(noisy.z.T, noisy.a.T, strict=True)]
    # Values within 8 % count as tied: at most 1 % of the pairs are decided otherwise.
    np.testing.assert_allclose(ranking.auroc(noisy.counts), expected, atol=0.01)
    assert expected[2] < 0.85


def test_average_precision_is_that_of_sorting(noisy):
    expected = [
        sorted_average_precision(z, a != 0)
        for z, a in zip(noisy.z.T, noisy.a.T, strict=True)
    ]
    found = ranking.average_precision(noisy.counts)
    # Within a step of 8 % the order is lost: the noisiest latent loses 0.02.
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_threshold_f1_is_the_best_of_ten(noisy):
    first = np.abs(noisy.z[:1000]).max(0)
    best = []
    for i in range(3):
        present = noisy.a[:, i] != 0
        on = [noisy.z[:, i] > t * first[i] for t in np.arange(10) / 10]
        best.append(max(2 * (o & present).sum() / (o.sum() + present.sum()) for o in on))
    # A threshold is a float32 product; one sample of 600 may fall on its other side.
    np.testing.assert_allclose(ranking.threshold_f1(noisy.counts), best, atol=2e-3)


def test_a_latent_that_is_always_on_a_little_ranks_perfectly():
    """No precision where "on" means non-zero, and nothing wrong with its values."""
    a = np.resize([[0.0], [0.0], [0.0], [1.0]], (400, 1))
    counts = counted(a + 0.05, a)
    assert ranking.auroc(counts) == ranking.average_precision(counts) == 1
    assert ranking.threshold_f1(counts) == 1


@pytest.mark.parametrize(
    ("z", "auroc", "average_precision"),
    [
        ([0, 0, 0, 3], 1, 1),  # the feature itself, scaled
        ([0, 0, 0, -3], 1, 1),  # a signed code
        ([0, 0, 0, 0], 1 / 2, 1 / 4),  # silent: chance
        ([1, 1, 1, 1], 1 / 2, 1 / 4),  # constant: chance
        ([1, 1, 1, 0], 0, 1 / 4),  # on exactly when the feature is absent
        ([0, 0, 1, 1], (1 + 2 / 3) / 2, 1 / 2),  # one of three false alarms
    ],
)
def test_by_hand(z, auroc, average_precision):
    """The feature is present in one sample of four."""
    a = np.resize([[0.0], [0.0], [0.0], [1.0]], (400, 1))
    counts = counted(np.resize(np.array(z, float)[:, None], (400, 1)), a)
    assert ranking.auroc(counts) == pytest.approx(auroc)
    assert ranking.average_precision(counts) == pytest.approx(average_precision)


def test_features_never_and_always_present_are_at_chance():
    z = np.random.default_rng(1).random((300, 2))
    counts = counted(z, np.stack([np.zeros(300), np.ones(300)], axis=1))
    assert ranking.auroc(counts).tolist() == [0.5, 0.5]
    np.testing.assert_allclose(ranking.average_precision(counts), [0, 1])


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_amplitude_where_present(offset):
    """z = 0.8 a - 0.1 + noise, whatever z does elsewhere; far from zero as well."""
    rng = np.random.default_rng(2)
    present = rng.random(SAMPLES) < 0.3
    a = np.where(present, offset + rng.uniform(1, 3, SAMPLES), 0)
    noise = 0.2 * rng.normal(size=SAMPLES)
    z = np.where(present, 0.8 * a - 0.1 + noise, rng.random(SAMPLES))
    found = ranking.when_present(counted(z[:, None], a[:, None]))
    a, z = (np.asarray(v[present], np.float32).astype(float) for v in (a, z))
    slope = np.cov(z, a, bias=True)[0, 1] / a.var()
    # Sums of 900 float32 terms of size 1 about the references.
    assert found.slope[0] == pytest.approx(slope, abs=1e-4)
    assert found.r2[0] == pytest.approx(np.corrcoef(z, a)[0, 1] ** 2, abs=1e-4)


@pytest.mark.parametrize("level", [1.0, 0.1, 1234.567])
def test_amplitude_of_constants(level):
    """A feature that does not vary has no slope; a constant latent explains nothing."""
    a = np.resize([[0, level], [level, level], [level, 2 * level]], (600, 2))
    z = np.resize([[0, level], [level, level], [2 * level, level]], (600, 2))
    found = ranking.when_present(counted(z, a))
    assert np.isnan(found.slope[0])
    assert np.isnan(found.r2[0])
    assert found.slope[1] == pytest.approx(0, abs=1e-6)
    assert found.r2[1] == pytest.approx(0, abs=1e-6)
