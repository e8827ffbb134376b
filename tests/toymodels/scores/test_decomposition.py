"""Scores of parameter decompositions where the answer is known."""

import numpy as np
import pytest

from toymodels.scores import decomposition

R = np.random.default_rng(0)
W = R.normal(size=(6, 3))


def test_the_true_components_add_up_are_of_rank_one_and_score_1():
    components = decomposition.by_row(W)
    np.testing.assert_array_equal(components.sum(axis=0), W)
    assert all(np.linalg.matrix_rank(part) == 1 for part in components)
    assert decomposition.agreement(components, W) == pytest.approx((1, 1))


def test_the_order_of_components_does_not_matter_and_extra_zeros_are_harmless():
    components = R.permutation(decomposition.by_row(W))
    more = np.concatenate([components, np.zeros((4, 6, 3))])
    assert decomposition.agreement(more, W) == pytest.approx((1, 1))


def test_shrunk_components_keep_their_cosine():
    components = 0.8 * decomposition.by_row(W)
    assert decomposition.agreement(components, W) == pytest.approx((1, 0.8))


def test_by_hand():
    """Row (1, 0) in (1, 1) has cosine 1/sqrt 2; row (0, 2) is half as long in the other."""
    true = np.array([[1.0, 0.0], [0.0, 2.0]])
    components = np.array([[[1.0, 1.0], [0.0, 0.0]], [[0.0, -1.0], [0.0, 1.0]]])
    found = decomposition.agreement(components, true)
    assert found.mmcs == pytest.approx((2**-0.5 + 1) / 2)
    assert found.l2_ratio == pytest.approx((2**0.5 + 0.5) / 2)


@pytest.mark.parametrize(
    ("components", "true", "message"),
    [
        (np.ones((2, 5, 3)), W, "number of rows of a component is 5, expected 6"),
        (np.ones((2, 6, 2)), W, "width of a component is 2, expected 3"),
        (np.full((2, 6, 3), np.nan), W, "components holds nan"),
        (np.ones((2, 6, 3)), W * (np.arange(6) != 2)[:, None], "row 2 of W is zero"),
    ],
)
def test_bad_input_is_refused(components, true, message):
    with pytest.raises(ValueError, match=message):
        decomposition.agreement(components, true)
