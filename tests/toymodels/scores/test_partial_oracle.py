"""Hedged decoders are least squares for perfect codes, where that is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, magnitude, random
from synthetic.hierarchy import Gated, Inherited
from synthetic.hierarchy.forest import Forest
from toymodels.scores import partial_oracle

# 0 -> 1 -> 2 is a branch, 0 -> 3 a child beside it, 4 alone.
FOREST = Forest.of([-1, 0, 1, 0, -1])
P = np.array([0.5, 0.4, 0.5, 0.3, 0.2])
SIZE = np.array([2.0, 1.0, 3.0, 1.5, 1.0])


def world(scaled=False):
    law = magnitude.Constant(jnp.asarray(SIZE))
    scale = jnp.asarray([4.0, 2.0, 1.0, 1.0, 1.0]) if scaled else None
    return SparseFeatures(
        directions.orthogonal(random.key(0), 5, 6),
        Gated(firing.Independent(P), FOREST),
        Inherited(law, FOREST, scale),
        bias=1.0,
    )


CHOSEN = np.array([0, 4])
draw = jax.jit(lambda place, key: place.sample(key, 1 << 15))


def mixed(rows, truth):
    return np.asarray(rows) @ np.asarray(truth).T


def test_missing_descendants_are_worth_their_share_of_the_ancestor():
    """P(c | p) mu_c / mu_p: 0.4 / 2, 0.4 0.5 3 / 2, 0.3 1.5 / 2."""
    rows = partial_oracle.hedged_directions(world(), CHOSEN)
    expected = [[1, 0.2, 0.3, 0.225, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(mixed(rows, world().directions), expected, atol=1e-5)


def test_a_child_with_a_latent_takes_its_own_descendants():
    rows = partial_oracle.hedged_directions(world(), np.array([1, 0]))
    expected = [[0, 1, 0.5 * 3, 0, 0], [1, 0, 0, 0.225, 0]]
    np.testing.assert_allclose(mixed(rows, world().directions), expected, atol=1e-5)


def test_children_that_grow_with_their_parents():
    """A child's value is own / scale of the parent times the parent's."""
    rows = partial_oracle.hedged_directions(world(scaled=True), CHOSEN)
    # 0.4 (1 / 4), 0.4 0.5 (1 / 4) (3 / 2), 0.3 (1.5 / 4).
    expected = [1, 0.1, 0.075, 0.1125, 0]
    np.testing.assert_allclose(mixed(rows, world().directions)[0], expected, atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_they_are_the_least_squares_decoder(scaled):
    """Of a regression of x on the perfect codes, with a bias."""
    place = world(scaled)
    batch = draw(place, random.key(1))
    codes = np.asarray(batch.features, float)[:, CHOSEN]
    regressors = np.column_stack([codes, np.ones(len(codes))])
    found = np.linalg.lstsq(regressors, np.asarray(batch.x, float))[0][:2]
    # Missing features leave a deviation below 1 a dimension, and the rarer code varies by
    # 0.4, over 32,768 samples: an error of 0.014.
    expected = partial_oracle.hedged_directions(place, CHOSEN)
    np.testing.assert_allclose(found, expected, atol=5 * 0.014)


def test_the_most_frequent_features_come_first():
    # Rates 0.5, 0.2, 0.1, 0.15, 0.2.
    assert partial_oracle.most_frequent(world(), 4).tolist() == [0, 1, 4, 3]
    with pytest.raises(ValueError, match=r"n_latents is 6, expected .* \[1, 5\]"):
        partial_oracle.most_frequent(world(), 6)


def test_a_partial_oracle_has_the_true_codes_and_the_mean_of_the_rest():
    place = world()
    batch = draw(place, random.key(2))
    oracle = partial_oracle.partial_oracle(place, CHOSEN, batch)
    z, x_hat = oracle.codes(batch)
    np.testing.assert_array_equal(z, batch.features[:, CHOSEN])
    np.testing.assert_allclose((batch.x - x_hat).mean(0), 0, atol=1e-5)
    leaning = partial_oracle.partial_oracle(
        place, CHOSEN, batch, partial_oracle.hedged_directions(place, CHOSEN)
    )

    def error(one):
        return float(jnp.mean(jnp.sum(jnp.square(batch.x - one.codes(batch)[1]), -1)))

    assert error(leaning) < 0.9 * error(oracle)


def test_without_a_hierarchy_the_directions_are_the_true_ones():
    place = dataclasses.replace(
        world(), firing=firing.Independent(P), magnitude=magnitude.Uniform()
    )
    rows = partial_oracle.hedged_directions(place, CHOSEN)
    np.testing.assert_allclose(rows, np.asarray(place.directions)[CHOSEN], atol=1e-6)
