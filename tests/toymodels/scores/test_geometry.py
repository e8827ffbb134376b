"""Decoder scores on matrices small enough to work out by hand, and their chance level."""

import numpy as np
import pytest

from synthetic import directions, random
from toymodels.scores import geometry

# [latent, feature]; worked out by hand below.
TABLE = np.array(
    [
        [0.9, 0.8, 0.0],
        [0.7, 0.1, 0.05],
        [0.6, 0.2, -0.3],
        [0.5, 0.0, -0.2],
    ]
)


def test_cosines_by_hand():
    W_dec = np.array([[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]])
    true = np.array([[1.0, 0.0], [0.0, 5.0]])
    signed = np.array([[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]])
    # Float64 roundoff.
    np.testing.assert_allclose(geometry.cosines(W_dec, true), signed, rtol=1e-14)
    absolute = geometry.cosines(W_dec, true, absolute=True)
    np.testing.assert_allclose(absolute, np.abs(signed), rtol=1e-14)


def test_cosines_are_float64_for_float32_rows():
    rows = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    assert geometry.cosines(rows, rows).dtype == np.float64
    # A float32 computation would leave the diagonal off by 1e-7.
    np.testing.assert_allclose(np.diag(geometry.cosines(rows, rows)), 1, rtol=1e-14)


def test_scores_of_a_table_by_hand():
    """The matching takes 0.6 + 0.8 + 0.05; after 0.9 there is at most 0.2 + 0.05 left."""
    np.testing.assert_array_equal(geometry.match(TABLE).latent, [2, 0, 1])
    assert geometry.mcc_dec(TABLE) == pytest.approx((0.6 + 0.8 + 0.05) / 3)
    assert geometry.recovered(TABLE) == pytest.approx((0.6 + 0.8 + 0.05) / 3)
    assert geometry.feature_max_cosine(TABLE) == pytest.approx((0.9 + 0.8 + 0.05) / 3)
    assert geometry.latent_max_cosine(TABLE) == pytest.approx((0.9 + 0.7 + 0.6 + 0.5) / 4)
    assert geometry.uniqueness(TABLE) == 1 / 4


def test_scores_of_the_table_the_other_way_round():
    """Three latents, four features: `recovered` counts the missing one, `mcc_dec` not."""
    table = TABLE.T
    assert geometry.mcc_dec(table) == pytest.approx((0.6 + 0.8 + 0.05) / 3)
    assert geometry.recovered(table) == pytest.approx((0.6 + 0.8 + 0.05) / 4)
    assert geometry.feature_max_cosine(table) == pytest.approx((0.9 + 0.7 + 0.6 + 0.5) / 4)
    assert geometry.latent_max_cosine(table) == pytest.approx((0.9 + 0.8 + 0.05) / 3)
    assert geometry.uniqueness(table) == 2 / 3


def test_in_matched_order():
    np.testing.assert_array_equal(geometry.in_matched_order(TABLE), TABLE[[2, 0, 1, 3]])
    np.testing.assert_array_equal(geometry.in_matched_order(TABLE.T), TABLE.T[[1, 2, 0]])


def test_refuses_rows_of_another_width():
    with pytest.raises(ValueError, match=r"width of W_dec is 5, expected 4; both are rows"):
        geometry.cosines(np.ones((3, 5)), np.ones((2, 4)))


@pytest.mark.parametrize("name", ["W_dec", "directions"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_not_finite(name, bad):
    rows = {"W_dec": np.ones((3, 4)), "directions": np.ones((2, 4))}
    rows[name][1, 2] = bad
    with pytest.raises(ValueError, match=rf"{name} holds {bad} at index \(1, 2\), exp"):
        geometry.cosines(**rows)


def test_chance_of_256_directions_in_64_dimensions():
    """Published: 0.35 for SAELens' |cosine| and 256 x 256 x 64, from one draw.

    Draws differ by about 0.001; the band is what two digits leave open.
    """
    key_true, key_chance = random.key(0), random.key(1)
    true = directions.random(key_true, 256, 64)
    floor = geometry.chance_mcc_dec(key_chance, true, 256, draws=4, absolute=True)
    assert 0.345 < floor < 0.36


@pytest.mark.parametrize(
    ("absolute", "d_model", "expected"),
    [(True, 3, 1 / 2), (False, 3, 0.0)],
)
def test_chance_of_one_latent_and_one_feature(absolute, d_model, expected):
    """E|cos| = Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)); E cos = 0.

    E cos^2 = 1/d gives the deviation of one draw; 4.5 standard errors are allowed.
    """
    true = np.eye(d_model)[:1]
    floor = geometry.chance_mcc_dec(random.key(2), true, 1, draws=60, absolute=absolute)
    assert abs(floor - expected) < 4.5 * np.sqrt((1 / d_model - expected**2) / 60)


def test_chance_is_lower_for_signed_cosines_and_repeats_for_a_key():
    true = np.eye(16)[:12]
    signed = geometry.chance_mcc_dec(random.key(3), true, 12, draws=2)
    again = geometry.chance_mcc_dec(random.key(3), true, 12, draws=2)
    absolute = geometry.chance_mcc_dec(random.key(3), true, 12, draws=2, absolute=True)
    assert signed == again < absolute
