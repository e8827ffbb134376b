"""Each set of directions against its geometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions

# Entries of a Gram matrix of float32 unit rows: d products, each rounded by 6e-8.
ROUNDING = 2e-6


def gram(rows):
    rows = np.asarray(rows, np.float64)
    return rows @ rows.T


def assert_gram(rows, expected):
    np.testing.assert_allclose(gram(rows), expected, atol=ROUNDING)


def test_unit_rows_keep_their_direction_and_zero_rows():
    rows = jnp.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    expected = [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]]
    np.testing.assert_allclose(directions.unit_rows(rows), expected, atol=1e-7)
    batch = directions.unit_rows(rows[:, None])
    np.testing.assert_allclose(batch[:, 0], expected, atol=1e-7)


def test_unit_rows_have_a_finite_gradient_at_a_zero_row():
    rows = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    grad = jax.jit(jax.grad(lambda r: directions.unit_rows(r)[:, 0].sum()))(rows)
    assert np.isfinite(grad).all()
    # d/dx of x / |x| along (1, 2): (1 - 1/5, -2/5) / sqrt 5.
    np.testing.assert_allclose(grad[1], [0.8 / 5**0.5, -0.4 / 5**0.5], atol=1e-6)


def test_random_directions_are_uniform_on_the_sphere():
    """Even moments of a coordinate on the sphere: E x^2 = 1/d, E x^4 = 3/(d (d + 2))."""
    n, d = 30_000, 3
    rows = np.asarray(directions.random(jax.random.key(0), n, d), np.float64)
    assert rows.shape == (n, d)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=ROUNDING)
    moment = {2: 1 / 3, 4: 1 / 5, 8: 1 / 9}
    # The mean of n terms is within 6 standard errors but for 2e-9 of the seeds.
    assert np.abs(rows.mean(0)).max() < 6 * np.sqrt(moment[2] / n)
    error = np.abs((rows**4).mean(0) - moment[4])
    assert error.max() < 6 * np.sqrt((moment[8] - moment[4] ** 2) / n)
    assert np.abs((rows[:, 0] * rows[:, 1]).mean()) < 6 * np.sqrt(1 / (d * (d + 2)) / n)


@pytest.mark.parametrize(("n", "d"), [(3, 7), (5, 5)])
def test_orthogonal_rows_are_orthonormal(n, d):
    rows = directions.orthogonal(jax.random.key(1), n, d)
    assert rows.shape == (n, d)
    assert_gram(rows, np.eye(n))


def test_orthogonal_rows_are_uniform_over_rotations():
    """Each entry has mean 0 and variance 1/d; a bare QR gives its diagonal one sign."""
    n, d = 512, 3
    keys = jax.random.split(jax.random.key(2), n)
    rows = np.asarray(jax.vmap(lambda k: directions.orthogonal(k, d, d))(keys))
    assert np.abs(rows.mean(0)).max() < 6 / np.sqrt(d * n)
    signs = np.sign(np.linalg.det(rows.astype(np.float64))).sum()
    assert abs(signs) < 6 * np.sqrt(n)


def test_orthogonal_refuses_more_rows_than_dimensions():
    with pytest.raises(ValueError, match=r"5 orthogonal .* 4 dimensions, expected at mo"):
        directions.orthogonal(jax.random.key(0), 5, 4)


def test_antipodal_pairs():
    rows = np.asarray(directions.antipodal_pairs(3))
    expected = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_simplex_meets_the_welch_bound(d):
    rows = directions.simplex(d)
    assert rows.shape == (d + 1, d)
    assert_gram(rows, np.full((d + 1, d + 1), -1 / d) + (1 + 1 / d) * np.eye(d + 1))
    assert directions.welch_bound(d + 1, d) == pytest.approx(1 / d, rel=1e-12)
    assert directions.max_coherence(rows) == pytest.approx(1 / d, abs=ROUNDING)


@pytest.mark.parametrize("cosine", [-0.2, 0.0, 0.3, 0.99])
@pytest.mark.parametrize("d", [6, 9])
def test_equicorrelated(cosine, d):
    rows = directions.equicorrelated(6, d, cosine)
    assert rows.shape == (6, d)
    assert_gram(rows, (1 - cosine) * np.eye(6) + cosine)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 5, 0.3), r"6 rows .* cosine 0.3 span 6 .* d_model = 5; raise d_model"),
        ((6, 6, -0.3), r"cosine is -0.3, expected .* \[-0.2, 1\]"),
        ((6, 6, 1.0), r"cosine is 1, expected"),
        ((1, 6, 0.0), r"n_features is 1, expected .* no pairs"),
    ],
)
def test_equicorrelated_refuses_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        directions.equicorrelated(*arguments)


@pytest.mark.parametrize(
    ("n", "d", "bound"),
    [
        (2, 1, 1),
        (3, 2, 1 / 2),
        (6, 3, 5**-0.5),
        (16, 6, 1 / 3),
        (28, 7, 1 / 3),
        (276, 23, 1 / 5),
        (5, 5, 0),
        (3, 8, 0),
    ],
)
def test_welch_bound_of_equiangular_lines(n, d, bound):
    """Largest sets of equiangular lines, which attain it (Lemmens & Seidel 1973)."""
    assert directions.welch_bound(n, d) == pytest.approx(bound, rel=1e-12)


def test_max_coherence_ignores_signs_and_the_diagonal():
    rows = jnp.array([[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]])
    assert directions.max_coherence(rows) == pytest.approx(0.8, abs=ROUNDING)
    assert directions.max_coherence(jnp.eye(3)) == 0


def test_rotated_keeps_the_gram_matrix():
    rows = directions.random(jax.random.key(3), 5, 4)
    turned = directions.rotated(jax.random.key(4), rows)
    assert_gram(turned, gram(rows))
    assert np.abs(np.asarray(turned - rows)).max() > 0.1


def test_spread_reaches_its_target():
    key, n, d, target = jax.random.key(5), 12, 6, 0.35
    start = directions.random(jax.random.clone(key), n, d)
    rows = directions.spread(key, n, d, target)
    assert rows.shape == (n, d)
    np.testing.assert_allclose(np.diagonal(gram(rows)), 1, atol=ROUNDING)
    off_diagonal = np.abs(gram(rows) - np.diag(np.diagonal(gram(rows))))
    assert off_diagonal.max() <= target + ROUNDING
    assert directions.max_coherence(start) > 0.6


def test_spread_refuses_targets_below_the_welch_bound():
    with pytest.raises(ValueError, match=r"coherence is 0.3, .* \[0.301511, 1\]; 12 rows"):
        directions.spread(jax.random.key(0), 12, 6, 0.3)


def test_spread_says_when_it_falls_short():
    with pytest.raises(ValueError, match=r"reached .*, expected at most 0.350 .* 0.302"):
        directions.spread(jax.random.key(5), 12, 6, 0.35, steps=1)
