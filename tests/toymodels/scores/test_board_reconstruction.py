"""Boards put together by hand-made latents, and by loops over plain arrays."""

import numpy as np
import pytest

from synthetic import random
from toymodels.scores import board_reconstruction as boards
from toymodels.scores import detection
from toymodels.scores.detection import Sample

R = np.random.default_rng(1)
SQUARES = np.arange(8) % 4  # mine and theirs of four squares


def random_boards(n=640):
    """Each square mine (0.3), theirs (0.3) or empty: [n, 8]."""
    content = R.choice(3, size=(n, 4), p=[0.3, 0.3, 0.4])
    return np.concatenate([content == 0, content == 1], axis=1)


def latents(properties, wrong=0.02):
    """One of each property, firing a little where it should not, by strength."""
    strength = np.where(properties, R.uniform(0.5, 1, properties.shape), 0)
    noise = (R.random(properties.shape) < wrong) * R.uniform(0, 0.7, properties.shape)
    return np.maximum(strength, noise).astype(np.float32)


def scored(train, held_out, seed=1):
    counts = detection.count(train)
    found = [boards.claims(counts, sample, SQUARES) for sample in (train, held_out)]
    return counts, found, boards.corrected(random.key(seed), *found)


def by_loops(train, held_out, share):
    """Claims by the definition: labels on one sample, counted on the other."""
    largest = train.z.max(axis=0)
    on = train.z > np.float32(share) * largest
    labels = []
    for i, j in np.ndindex(8, 8):
        hits = (on[:, i] & train.properties[:, j]).sum()
        if hits >= 10 and hits / on[:, i].sum() >= 0.95:
            labels.append((i, j))
    claimed = np.zeros_like(held_out.properties)
    for i, j in labels:
        claimed[:, j] |= held_out.z[:, i] > np.float32(share) * largest[i]
    right, wrong = claimed & held_out.properties, claimed & ~held_out.properties
    mixed = 0
    for row in range(len(claimed)):
        for square in range(4):
            pair = [square, square + 4]
            mixed += right[row, pair].any() and wrong[row, pair].any()
    missed = (held_out.properties & ~claimed).sum()
    return np.array([right.sum(), wrong.sum(), missed, mixed])


def test_claims_are_those_of_plain_loops():
    train, held_out = (Sample(latents(p), p) for p in (random_boards(), random_boards()))
    _, (_, found), scores = scored(train, held_out)
    expected = np.array([by_loops(train, held_out, s) for s in np.arange(10) / 10])
    np.testing.assert_array_equal([part.sum(axis=0) for part in found[:4]], expected.T)
    hits, wrong, missed, mixed = expected.T
    assert mixed.max() > 0
    f1 = 2 * hits / (2 * hits + wrong + missed)
    np.testing.assert_allclose(boards.by_share(found), f1)
    strict = 2 * (hits - mixed) / (2 * (hits - mixed) + wrong + missed)
    np.testing.assert_allclose(boards.by_share_of_squares(found), strict)
    assert boards.as_published(found) == pytest.approx(f1[strict.argmax()])
    on_train = np.array([by_loops(train, train, s) for s in np.arange(10) / 10]).T
    best = (2 * on_train[0] / (2 * on_train[0] + on_train[1] + on_train[2])).argmax()
    assert scores["f1"].value == pytest.approx(f1[best])
    assert scores["floor"].value == 0
    assert scores["f1"].low < scores["f1"].value < scores["f1"].high


def test_the_truth_scores_1():
    samples = [Sample(p.astype(np.float32), p) for p in (random_boards(), random_boards())]
    _, (_, found), scores = scored(*samples)
    assert boards.as_published(found) == 1
    assert scores["corrected"] == (1, 1, 1)


def test_an_always_on_latent_scores_0():
    """One property is true in all boards, so that its label is that latent's: F1 is above
    0 before the correction.
    """
    samples = []
    for properties in (random_boards(), random_boards()):
        properties[:, 0], properties[:, 4] = True, False
        samples.append(Sample(np.ones((len(properties), 1), np.float32), properties))
    _, _, scores = scored(*samples)
    truth = samples[1].properties
    hits, missed = len(truth), truth[:, 1:].sum()
    assert scores["f1"].value == pytest.approx(2 * hits / (2 * hits + missed))
    assert scores["corrected"].value == pytest.approx(0)


def test_labels_need_precision_and_ten_hits():
    """Latent 0 is right 95 times of 100, latent 1 94 times, latent 2 all of 9 times."""
    properties = np.zeros((300, 3), bool)
    z = np.zeros((300, 3), np.float32)
    for i, (hits, fires) in enumerate([(95, 100), (94, 100), (9, 9)]):
        first = 100 * i
        properties[first : first + hits, i], z[first : first + fires, i] = True, 1
    found = boards.labels(detection.count(Sample(z, properties)))[0]
    assert np.argwhere(found).tolist() == [[0, 0]]


def test_the_order_of_latents_does_not_matter():
    train, held_out = (Sample(latents(p), p) for p in (random_boards(), random_boards()))
    order = R.permutation(8)
    shuffled = [Sample(s.z[:, order], s.properties) for s in (train, held_out)]
    plain = scored(train, held_out, seed=3)[2]
    other = scored(*shuffled, seed=3)[2]
    assert plain == other
