"""Superposition of features, components and names of planted polytopes, initial scales."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, random
from toymodels import superposition


def polygon(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def orthogonal_union(*blocks):
    """The blocks along the diagonal: each in dimensions of its own."""
    shape = np.sum([block.shape for block in blocks], axis=0)
    W, corner = np.zeros(shape), np.zeros(2, int)
    for block in blocks:
        end = corner + block.shape
        W[corner[0] : end[0], corner[1] : end[1]] = block
        corner = end
    return W


DIGON = np.array([[1.0], [-1.0]])
ANTIPRISM = np.column_stack(
    [
        np.concatenate([polygon(8)[::2], polygon(8)[1::2]]) * (2 / 3) ** 0.5,
        np.repeat([-1, 1], 4) / 3**0.5,
    ]
)
CUBE = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)]) / 3**0.5
CELL_24 = np.array(
    [
        np.eye(4)[i] * a + np.eye(4)[j] * b
        for i in range(4)
        for j in range(i)
        for a in (1, -1)
        for b in (1, -1)
    ]
)
PLANTED = {
    "own dimension": (np.eye(1), 1.0),
    "digon": (DIGON, 1 / 2),
    "triangle": (polygon(3), 2 / 3),
    "tetrahedron": (np.asarray(directions.simplex(3)), 3 / 4),
    "4-simplex": (np.asarray(directions.simplex(4)), 4 / 5),
    "5-simplex": (np.asarray(directions.simplex(5)), 5 / 6),
    "pentagon": (polygon(5), 2 / 5),
    "hexagon": (polygon(6), 2 / 6),
    "heptagon": (polygon(7), 2 / 7),
    "square antiprism": (ANTIPRISM, 3 / 8),
    "8 points in 3-d": (CUBE, 3 / 8),
    "24 points in 4-d": (CELL_24, 4 / 24),
}


@pytest.mark.parametrize(("name", "planted"), PLANTED.items(), ids=PLANTED.keys())
@pytest.mark.parametrize("scale", [0.6, 1.13])
def test_planted_polytopes_are_named(name, planted, scale):
    """Rotated into four more dimensions, shuffled, beside features that are dropped."""
    rows, expected = planted
    generator = np.random.default_rng(0)
    width = rows.shape[1] + 4
    turn = np.linalg.qr(generator.normal(size=(width, width)))[0]
    W = np.zeros((len(rows) + 3, width))
    places = generator.permutation(len(W))[: len(rows)]
    W[places] = scale * np.pad(rows, ((0, 0), (0, 4))) @ turn
    (found,) = superposition.find_polytopes(W)
    assert found.name == name
    np.testing.assert_array_equal(found.features, np.sort(places))
    np.testing.assert_allclose(found.dimensionality, expected, atol=1e-6)


BIPYRAMIDS = {
    "triangular": (3, [2 / 3] * 3 + [1 / 2] * 2, ["triangle", "digon"]),
    "square": (4, [1 / 2] * 6, ["digon"] * 3),
    "pentagonal": (5, [2 / 5] * 5 + [1 / 2] * 2, ["pentagon", "digon"]),
}


@pytest.mark.parametrize(
    ("base", "expected", "names"), BIPYRAMIDS.values(), ids=BIPYRAMIDS.keys()
)
def test_a_bipyramid_comes_apart_into_its_tegum_factors(base, expected, names):
    W = orthogonal_union(polygon(base), DIGON)
    found = superposition.find_polytopes(W)
    assert [polytope.name for polytope in found] == names
    D = superposition.dimensionality(jnp.asarray(W, jnp.float32))
    np.testing.assert_allclose(D, expected, atol=1e-6)


def test_polytopes_in_orthogonal_dimensions_are_found_one_by_one():
    W = orthogonal_union(polygon(5), np.eye(1), ANTIPRISM, DIGON)
    found = superposition.find_polytopes(W)
    names = [polytope.name for polytope in found]
    assert names == ["square antiprism", "pentagon", "digon", "own dimension"]
    assert sorted(np.concatenate([p.features for p in found])) == list(range(len(W)))
    within = np.zeros(len(W))
    for polytope in found:
        within[polytope.features] = polytope.dimensionality
    D = superposition.dimensionality(jnp.asarray(W, jnp.float32))
    np.testing.assert_allclose(within, D, atol=1e-6)


def test_a_distorted_polytope_keeps_its_name_until_it_is_another():
    """A pentagon whose first vertex moves along its circle, by degrees."""

    def turned(degrees):
        W = polygon(5)
        angle = np.radians(degrees)
        W[0] = np.cos(angle), np.sin(angle)
        return superposition.name_polytope(W)

    assert turned(1) == "pentagon"
    assert turned(30) == "5 points in 2-d"


def test_the_graph_joins_rows_by_their_cosine_alone():
    """Cosines 0.09 and 0.11 at lengths that would mislead a graph of products."""
    apart = np.array([[2.0, 0.0], [2 * 0.09, 2 * (1 - 0.09**2) ** 0.5]])
    assert superposition.components(apart).tolist() == [0, 1]
    close = np.array([[0.6, 0.0], [0.6 * 0.11, 0.6 * (1 - 0.11**2) ** 0.5]])
    assert superposition.components(close).tolist() == [0, 0]
    assert superposition.components(close, represented=0.7).tolist() == [-1, -1]
    assert superposition.find_polytopes(close, represented=0.7) == []


def test_components_are_numbered_from_the_largest():
    """A chain is one component though its ends are orthogonal."""
    chain = np.array([[0.0, 1, 0], [0, 0.8, 0.6], [0, 0, 1]])
    W = np.concatenate([np.eye(1, 3), np.zeros((1, 3)), chain])
    assert superposition.components(W).tolist() == [1, -1, 0, 0, 0]


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"joined is 1.5, expected a number in \[0, 1\]"):
        superposition.components(np.eye(2), joined=1.5)
    with pytest.raises(ValueError, match="represented is -1"):
        superposition.find_polytopes(np.eye(2), represented=-1)


def test_superposition_of_a_feature_by_hand():
    """Feature 1 is shared at a cosine of 0.6 with feature 0, feature 2 with none."""
    W = jnp.array([[2.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    found = superposition.feature_superposition(W)
    np.testing.assert_allclose(found, [0.36, 1.44, 0, 0], atol=1e-6)


def test_superposition_and_dimensionality_share_a_denominator():
    """D_i = ||W_i||^2 / (||W_i||^2 + superposition of i)."""
    W = jax.random.normal(random.key(0), (2, 7, 3))
    square = superposition.feature_norms(W) ** 2
    expected = square / (square + superposition.feature_superposition(W))
    np.testing.assert_allclose(superposition.dimensionality(W), expected, rtol=1e-5)


def test_superposition_does_not_change_under_rotation():
    W = directions.random(random.key(0), 6, 3)
    turned = directions.rotated(random.key(1), W)
    np.testing.assert_allclose(
        superposition.feature_superposition(turned),
        superposition.feature_superposition(W),
        atol=1e-5,  # a product with a float32 rotation
    )


# What torch's xavier_normal_ gives: sqrt(2 / (fan_in + fan_out)) with its convolution
# rules. [10, 5, 2] and [20, 200, 20] are the notebook's, [8, 2, 5] is ARENA's.
TORCH = [((10, 5, 2), 0.2582), ((20, 200, 20), 0.0213), ((8, 2, 5), 0.2)]


@pytest.mark.parametrize(("shape", "expected"), TORCH)
def test_the_scale_of_torch(shape, expected):
    assert superposition.torch_scale(*shape) == pytest.approx(expected, abs=5e-5)


def test_a_scale_of_no_models_is_refused():
    with pytest.raises(ValueError, match="n_instances is 0"):
        superposition.torch_scale(0, 5, 2)
