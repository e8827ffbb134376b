"""One-to-one matching against trying every assignment."""

from itertools import permutations

import numpy as np
import pytest

from toymodels.scores.matching import one_to_one


def best_total(similarity: np.ndarray) -> float:
    """The largest total over all injections of the shorter side into the longer."""
    if similarity.shape[0] > similarity.shape[1]:
        similarity = similarity.T
    rows, columns = similarity.shape
    return max(
        similarity[np.arange(rows), list(chosen)].sum()
        for chosen in permutations(range(columns), rows)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (5, 5)])
@pytest.mark.parametrize("seed", range(5))
def test_total_is_the_best_of_all_assignments(shape, seed):
    similarity = np.random.default_rng([seed, *shape]).normal(size=shape)
    found = one_to_one(similarity)
    pairs = min(shape)
    assert len(found.latent) == len(found.feature) == len(found.value) == pairs
    assert len(set(found.latent)) == len(set(found.feature)) == pairs
    assert (np.diff(found.feature) > 0).all()
    np.testing.assert_array_equal(found.value, similarity[found.latent, found.feature])
    # Sums of at most five float64 numbers of size 1.
    assert found.value.sum() == pytest.approx(best_total(similarity), abs=1e-12)


def test_greedy_choice_is_not_enough():
    """Taking the largest entry first gives 10 + 0; the best total is 9 + 9."""
    found = one_to_one(np.array([[10.0, 9.0], [9.0, 0.0]]))
    assert found.value.tolist() == [9.0, 9.0]
    assert found.latent.tolist() == [1, 0]


def test_negative_pairs_are_made_when_nothing_else_is_left():
    assert one_to_one(np.array([[-0.5]])).value.tolist() == [-0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(bad):
    similarity = np.eye(3)
    similarity[1, 2] = bad
    with pytest.raises(ValueError, match=r"NaN or infinite.*expected finite.*look for"):
        one_to_one(similarity)
