"""Known values are checked and told in one sentence; unknown ones pass."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random, validation


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        -1,
        np.float32(2),
        np.array([0.5, 3.0]),
        jnp.array([0.1, -0.1]),
        [0.5, 2.0],
        np.nan,
    ],
)
def test_probability_outside_the_unit_interval(value):
    with pytest.raises(ValueError, match=r"p holds .*, expected probabilities in \[0, 1\]"):
        validation.require_probability("p", value)


@pytest.mark.parametrize("value", [0, 1, True, 0.5, np.array([0.0, 1.0]), jnp.zeros((0,))])
def test_probabilities_pass(value):
    validation.require_probability("p", value)


def test_the_first_bad_entry_is_named():
    with pytest.raises(ValueError, match="holds 3, "):
        validation.require_probability("p", np.array([0.5, 3.0, 4.0]))


def test_range_includes_its_ends_and_names_the_fix():
    validation.require_range("k", 0, 0, 3)
    validation.require_range("k", np.array([0, 3]), 0, 3)
    message = "k is 4, expected a number in [0, 3]; k counts features"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        validation.require_range("k", 4, 0, 3, "k counts features")
    with pytest.raises(ValueError, match=r"k is -1, expected a number in \[0, inf\]$"):
        validation.require_range("k", [2, -1], low=0)
    with pytest.raises(ValueError, match="k is nan, expected"):
        validation.require_range("k", np.nan, low=0)


def test_width():
    validation.require_width("rows", 3, 3, "add rows")
    with pytest.raises(ValueError, match=r"^rows is 2, expected 3; add rows$"):
        validation.require_width("rows", 2, 3, "add rows")


def test_finite_names_the_first_bad_index():
    validation.require_finite("x", np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"x holds nan at index \(1, 0\), expected finite"):
        validation.require_finite("x", np.array([[1.0, 2.0], [np.nan, np.inf]]))
    with pytest.raises(ValueError, match=r"x holds -inf at index \(1,\)"):
        validation.require_finite("x", jnp.array([0.0, -jnp.inf]))


def test_traced_values_pass_and_known_ones_are_checked_inside_jit():
    @jax.jit
    def traced(p):
        validation.require_probability("p", p)
        validation.require_range("p", p, 0, 1)
        validation.require_finite("p", p)
        return p

    assert traced(7.0) == 7

    @jax.jit
    def known(x):
        validation.require_probability("p", 7.0)
        return x

    with pytest.raises(ValueError, match="p holds 7"):
        known(0.0)


@pytest.mark.parametrize("value", [None, "name", object(), random.key(0)])
def test_what_holds_no_numbers_passes(value):
    assert validation.concrete(value) is None
    validation.require_range("value", value, 0, 1)
