"""Absorption, hedging, splitting and composition of hand-made codes and dictionaries."""

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import absorption, composition, hedging, mixing, ranking
from toymodels.scores.matching import Match, one_to_one
from toymodels.scores.statistics import measure, on_host

# 80 samples: the parent (feature 0) in 20 of them, its child (feature 1) in 4 of these, a
# loner (feature 2) in every other sample.
PARENT = np.arange(80) < 20
CHILD = np.arange(80) < 4
A = np.stack([PARENT, CHILD, np.arange(80) % 2 == 0], axis=1).astype(np.float32)
PARENTS = np.array([-1, 0, -1])
DIRECTIONS = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0][:3]
SQRT2 = np.sqrt(2)

counted = jax.jit(absorption.count)


def measured(W_dec, z, blocks: int = 1):
    """Absorption of codes and rows whose matching is by cosine."""
    unit = W_dec / np.linalg.norm(W_dec, axis=1, keepdims=True)
    pairs = one_to_one(unit @ DIRECTIONS.T)
    watched = absorption.watch(PARENTS, pairs, mixing.decoder_mixing(W_dec, DIRECTIONS))
    parts = np.array_split(np.arange(80), blocks)
    z = np.asarray(z, np.float32)
    sums = ranking.add(counted(watched, Batch(A[p], A[p]), z[p]) for p in parts)
    return absorption.absorption(watched, sums)


def assert_edge(found: absorption.Absorption, gap, gap_of_child, mass) -> None:
    assert (found.child.tolist(), found.parent.tolist()) == ([1], [0])
    values = [found.gap[0], found.gap_of_child[0], found.mass[0]]
    # Float32 products of orthonormal rows.
    np.testing.assert_allclose(values, [gap, gap_of_child, mass], atol=1e-6)


def test_the_truth_is_not_absorbed():
    assert_edge(measured(DIRECTIONS, A), 0, 0, 0)
    assert_edge(measured(DIRECTIONS, A, blocks=2), 0, 0, 0)


def test_full_absorption():
    """The published solution: the parent's latent is off where the child is on, and the
    child's row is (parent + child) / sqrt(2).
    """
    W_dec = DIRECTIONS.copy()
    W_dec[1] = (DIRECTIONS[0] + DIRECTIONS[1]) / SQRT2
    z = np.stack([PARENT & ~CHILD, SQRT2 * CHILD, A[:, 2]], axis=1)
    np.testing.assert_allclose(z @ W_dec, A @ DIRECTIONS, atol=1e-12)  # costs nothing
    assert_edge(measured(W_dec, z), 1, 1, 1)


def test_absorption_in_half_of_the_samples():
    """The gap is 1/2. With it the parent is supplied by another latent in 2 of 4 cases."""
    half = np.arange(80) < 2
    W_dec = np.concatenate([DIRECTIONS, (DIRECTIONS[:1] + DIRECTIONS[1:2]) / SQRT2])
    z = np.stack([PARENT & ~half, CHILD & ~half, A[:, 2], SQRT2 * half], axis=1)
    assert_edge(measured(W_dec, z), 1 / 2, 1 / 2, 1 / 2)


def test_absorption_by_mass_alone():
    """The parent's latent fires at 60 %, the child's row holds the rest: no gap."""
    W_dec = DIRECTIONS.copy()
    W_dec[1] += 0.4 * DIRECTIONS[0]
    z = np.stack([np.where(CHILD, 0.6, PARENT), CHILD, A[:, 2]], axis=1)
    assert_edge(measured(W_dec, z), 0, 0, 0.4)


def test_a_latent_that_is_poor_everywhere_has_no_gap():
    """Off in half of the samples, child or not; its missing mass is nobody's."""
    z = A * (np.arange(80) % 2 == 0)[:, None]
    assert_edge(measured(DIRECTIONS, z), 0, 0, 0)


def test_the_gap_of_a_child_needs_no_lone_parent():
    """With a second child on wherever the first is not, the parent is never alone."""
    a = np.concatenate([A, (PARENT & ~CHILD)[:, None]], axis=1).astype(np.float32)
    watched = absorption.watch(
        np.array([-1, 0, -1, 0]), Match(np.arange(4), np.arange(4), np.ones(4)), np.eye(4)
    )
    z = a.copy()
    z[:4, 0] = 0
    sums = ranking.add([counted(watched, Batch(a, a), z)])
    found = absorption.absorption(watched, sums)
    assert np.isnan(found.gap).all()
    np.testing.assert_allclose(found.gap_of_child, [1, -1])
    assert np.isnan(absorption.mean(found.gap))
    assert absorption.mean(np.array([1, np.nan, 3])) == 2


def test_a_missing_parent_is_not_absorbed():
    found = measured(DIRECTIONS[1:], A[:, 1:])
    assert len(found.gap) == len(found.mass) == 0
    assert np.isnan(absorption.mean(found.gap))


def test_weights_of_a_latent_without_its_own_feature_have_no_ratio():
    pairs = Match(np.arange(3), np.arange(3), np.ones(3))
    found = absorption.mechanism(PARENTS, pairs, np.ones((3, 3)), np.zeros((3, 3)))
    assert found.decoder[0] == 1
    assert np.isnan(found.encoder[0])


def test_mechanism_of_absorption_and_of_hedging():
    """Absorption: decoder +1, encoder -1. Hedging: both 0.25."""
    pairs = Match(np.arange(3), np.arange(3), np.ones(3))
    absorbed = np.eye(3)
    absorbed[1, 0] = 1
    silenced = np.eye(3)
    silenced[0, 1] = -1
    found = absorption.mechanism(PARENTS, pairs, absorbed, silenced)
    assert (found.decoder[0], found.encoder[0]) == (1, -1)
    hedged_decoder, hedged_encoder = np.eye(3), np.eye(3)
    hedged_decoder[1, 0] = hedged_encoder[0, 1] = 0.25
    found = absorption.mechanism(PARENTS, pairs, hedged_decoder, hedged_encoder)
    assert (found.decoder[0], found.encoder[0]) == (0.25, 0.25)


@pytest.mark.parametrize("q", [0.05, 0.2, 0.6])
def test_hedging_of_the_best_lone_latent(q):
    """The top eigenvector of E[x x^T] / P(parent), against its angle in closed form."""
    child = np.arange(1000) < 1000 * q
    x = DIRECTIONS[0] + child[:, None] * DIRECTIONS[1]
    W_dec = np.linalg.eigh(x.T @ x)[1][:, -1:].T
    W_dec *= np.sign(W_dec @ DIRECTIONS[0])
    M = mixing.decoder_mixing(W_dec, DIRECTIONS)
    found = hedging.hedging(M, one_to_one(W_dec @ DIRECTIONS.T))
    angle = np.arctan(2 * q / (1 - q)) / 2
    assert (found.feature.tolist(), found.missing.tolist()) == ([0], [1, 2])
    np.testing.assert_allclose(found.coefficient, [[np.tan(angle), 0]], atol=1e-9)
    assert found.share == pytest.approx(np.sin(angle) ** 2)
    if q == 0.2:  # 13.3 degrees, cosine with the child 0.230
        assert np.sin(angle) == pytest.approx(0.230, abs=5e-4)


def test_no_hedging_where_nothing_is_missing():
    M = np.eye(3) + 0.1
    found = hedging.hedging(M, one_to_one(M))
    assert found.share == 0
    assert found.coefficient.shape == (3, 0)
    # Matched at 0.3 only: counts as missing when asked.
    M[2, 2] = 0.3
    found = hedging.hedging(M, one_to_one(M), at=0.5)
    assert found.missing.tolist() == [2]
    np.testing.assert_allclose(found.coefficient, [[0.1 / 1.1]] * 2)


def statistics_of(z, a):
    a = np.asarray(a, np.float32)
    return on_host(jax.jit(measure)(Batch(a, a), np.asarray(z, np.float32), a))


def test_splitting():
    """The loner in two latents, 10 and 30 of its 40 samples; the parent in one; the
    child's latent, always right about the parent too, is no part of it.
    """
    rare = np.arange(80) >= 60
    z = np.stack([A[:, 0], A[:, 1], A[:, 2] * rare, A[:, 2] * ~rare], axis=1)
    found = hedging.latents_per_feature(statistics_of(z, A))
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    np.testing.assert_allclose(found, [1, 1, 2**entropy], rtol=1e-12)


def test_splitting_leaves_imprecise_and_missing_latents_out():
    """Always on: precision 1/2 for the loner, below the 0.6 that is asked."""
    found = hedging.latents_per_feature(statistics_of(np.ones((80, 1)), A), 0.6)
    assert found.tolist() == [0, 0, 0]


def test_composed_latents():
    """Two coins. Latents: both, the first, either, the second but not the first."""
    a = np.resize([[0, 0], [0, 1], [1, 0], [1, 1]], (40, 2)).astype(np.float32)
    first, second = a.T != 0
    z = np.stack([first & second, first, first | second, second & ~first], axis=1)
    M = np.array([[0.7, 0.7], [1, 0.0], [0.5, -0.6], [0, 1]])
    pairs = composition.two_largest(M)
    assert pairs.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    sums = ranking.add([jax.jit(composition.count)(pairs, Batch(a, a), z * 2.0)])
    np.testing.assert_allclose(composition.conjunction(sums), [1, 0, 0, -1])


def test_refuses_what_is_no_hierarchy():
    pairs = one_to_one(np.eye(3))
    with pytest.raises(ValueError, match=r"of parents is 2, expected 3; give every"):
        absorption.watch(np.array([-1, 0]), pairs, np.eye(3))
    with pytest.raises(ValueError, match=r"parents is 3, expected .* \[-1, 2\]; they are"):
        absorption.watch(np.array([-1, 0, 3]), pairs, np.eye(3))
