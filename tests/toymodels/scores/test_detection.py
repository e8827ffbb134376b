"""Coverage on hand-made dictionaries, and against loops over plain arrays."""

import jax
import numpy as np
import pytest

from synthetic import random
from toymodels.scores import detection
from toymodels.scores.detection import Sample

R = np.random.default_rng(0)


def noisy_sample(n=640, n_latents=7, n_properties=5):
    """Latents that know something of the properties; the last property never occurs."""
    properties = R.random((n, n_properties)) < [0.5, 0.3, 0.2, 0.1, 0.0]
    mixed = properties @ R.normal(size=(n_properties, n_latents))
    z = np.maximum(mixed + 0.5 * R.normal(size=(n, n_latents)), 0)
    return Sample(z.astype(np.float32), properties)


def f1(guess, truth):
    """2 TP / (2 TP + FP + FN) by counting."""
    hits = sum(g and t for g, t in zip(guess, truth, strict=True))
    total = sum(guess) + sum(truth)
    return 2 * hits / total if total else 0.0


def by_loops(sample, largest):
    """F1 of every share, latent and property."""
    z, properties = sample
    return np.array(
        [
            [
                [
                    f1(z[:, i] > np.float32(share) * largest[i], truth)
                    for truth in properties.T
                ]
                for i in range(z.shape[1])
            ]
            for share in [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        ]
    )


def test_scores_are_those_of_plain_loops():
    train, held_out = noisy_sample(), noisy_sample()
    largest = train.z.max(axis=0)
    expected = by_loops(train, largest)
    counts = detection.count(train)
    np.testing.assert_allclose(detection.f1(counts), expected, atol=1e-12)
    best = expected.max(axis=1)
    assert detection.as_published(counts) == pytest.approx(best.mean(axis=1).max())
    # Chosen on one sample, scored on the other.
    share = best[:, :4].mean(axis=1).argmax()
    latent = expected[share].argmax(axis=0)[:4]
    elsewhere = by_loops(held_out, largest)[share, latent, np.arange(4)]
    detectors = detection.select(counts)
    found = detection.by_property(detectors, held_out)
    np.testing.assert_allclose(found[:4], elsewhere, atol=1e-12)
    assert np.isnan(found[4])
    rate = held_out.properties[:, :4].mean(axis=0)
    floor = (2 * rate / (1 + rate)).mean()
    scores = detection.corrected(random.key(1), detectors, held_out)
    assert scores["coverage"].value == pytest.approx(elsewhere.mean())
    assert scores["floor"].value == pytest.approx(floor)
    expected_score = (elsewhere.mean() - floor) / (1 - floor)
    assert scores["corrected"].value == pytest.approx(expected_score)
    for score in scores.values():
        assert score.low < score.value < score.high


def test_the_truth_scores_1_and_an_always_on_latent_0():
    properties = noisy_sample().properties[:, :4]
    truth = Sample(3.0 * properties.astype(np.float32), properties)
    always = Sample(np.full((640, 1), 0.7, np.float32), properties)
    for sample, expected in ((truth, 1), (always, 0)):
        counts = detection.count(sample)
        scores = detection.corrected(random.key(2), detection.select(counts), sample)
        assert scores["corrected"].value == pytest.approx(expected, abs=1e-12)
        assert scores["corrected"].low == pytest.approx(expected, abs=1e-12)
    # As published, an always-on latent is far above 0.
    rate = properties.mean(axis=0)
    published = detection.as_published(detection.count(always))
    assert published == pytest.approx((2 * rate / (1 + rate)).mean())


def test_the_published_scale_is_reproduced():
    """Where 128 of 192 slots can be true, the published score is two thirds of the mean."""
    properties = R.random((640, 128)) < 0.25
    wrong = R.random((640, 128)) < 0.1
    z = (properties ^ wrong).astype(np.float32)
    masked = Sample(z, np.concatenate([properties, np.zeros((640, 64), bool)], axis=1))
    counts = detection.count(masked)
    scores = detection.corrected(random.key(3), detection.select(counts), masked)
    published = detection.as_published(counts)
    assert published == pytest.approx(scores["coverage"].value * 128 / 192)
    usable = detection.count(Sample(z, properties))
    assert detection.as_published(usable, n_slots=192) == pytest.approx(published)


@pytest.mark.parametrize(("published", "expected"), [(0.519, 0.63), (0.272, 0.0)])
def test_published_scores_corrected(published, expected):
    """Gated dictionaries and the random model's: stored tables of Karvonen et al. against
    the always-on latent of random 8 x 8 games, 0.409.
    """
    found = detection.chance_corrected(published * 192 / 128, 0.409)
    assert found == pytest.approx(expected, abs=0.005)


def test_the_order_of_latents_does_not_matter():
    train, held_out = noisy_sample(), noisy_sample()
    order = R.permutation(7)
    found = []
    for a, b in ((train, held_out), (shuffled(train, order), shuffled(held_out, order))):
        counts = detection.count(a)
        scores = detection.corrected(random.key(4), detection.select(counts), b)
        found.append((detection.as_published(counts), *scores["corrected"]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def shuffled(sample, order):
    return Sample(sample.z[:, order], sample.properties)


def test_blocks_lose_no_row():
    sample = noisy_sample(n=101)
    blocks = detection.in_blocks(sample, 4)
    assert blocks.n.tolist() == [26, 26, 26, 23]
    z, properties = (np.asarray(a).reshape(104, -1) for a in blocks[1:])
    np.testing.assert_array_equal(z[:101], sample.z)
    np.testing.assert_array_equal(properties[:101], sample.properties)
    assert (z[101:] == -np.inf).all()
    assert not properties[101:].any()


def test_a_dead_latent_detects_nothing():
    sample = noisy_sample()
    dead = Sample(np.zeros_like(sample.z[:, :1]), sample.properties)
    assert detection.as_published(detection.count(dead)) == 0


def test_samples_that_cannot_be_scored_are_refused():
    z, properties = noisy_sample()
    with pytest.raises(ValueError, match="number of rows of properties is 100"):
        detection.count(Sample(z, properties[:100]))
    with pytest.raises(ValueError, match="number of rows is 20"):
        detection.count(Sample(z[:20], properties[:20]))
    with pytest.raises(ValueError, match="number of properties that occur is 0"):
        detection.select(detection.count(Sample(z, np.zeros_like(properties))))


@pytest.mark.slow
def test_the_size_of_a_study_fits_in_memory_and_seconds():
    key_z, key_properties = jax.random.split(random.key(5))
    z = jax.nn.relu(jax.random.normal(key_z, (50_000, 1_024)))
    properties = jax.random.bernoulli(key_properties, 0.2, (50_000, 200))
    counts = detection.count(Sample(z, properties))
    # Latents are independent of properties: on where above half the largest, F1 is
    # 2 p q / (p + q) with p = 0.2 and q their frequency, to within counting errors.
    q = float((z[:, 0] > 0.5 * z[:, 0].max()).mean())
    assert detection.f1(counts)[5, 0].mean() == pytest.approx(
        2 * 0.2 * q / (0.2 + q), abs=0.005
    )
