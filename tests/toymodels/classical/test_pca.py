"""PCA against the eigenvectors of the covariance."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import PCA


@pytest.fixture(scope="module")
def skewed():
    """500 samples with variances 16, 9, 4, 1 along a rotated basis, about a mean."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return (rng.exponential(size=(500, 4)) * [4, 3, 2, 1]) @ basis + [1, 2, 3, 4]


def test_rows_are_eigenvectors_of_the_covariance(skewed, fitted):
    params = fitted(PCA(2), random.key(0), jnp.asarray(skewed, jnp.float32))
    values, vectors = np.linalg.eigh(np.cov(skewed.T, bias=True))
    expected = vectors[:, ::-1][:, :2].T
    cosine = np.sum(np.asarray(params.W_dec) * expected, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-5)  # float32 covariance

    z = np.asarray(PCA(2).encode(params, skewed), float)
    x_hat = PCA(2).decode(params, z)
    left = np.square(skewed - x_hat).sum(axis=1).mean()
    assert left == pytest.approx(values[:2].sum(), rel=1e-4)
    assert ((z**3).mean(axis=0) > 0).all()


def test_all_components_give_everything_back(skewed, fitted):
    x = jnp.asarray(skewed, jnp.float32)
    params = fitted(PCA(4), random.key(0), x)
    # Float32 products of numbers around ten.
    np.testing.assert_allclose(
        PCA(4).decode(params, PCA(4).encode(params, x)), x, atol=1e-4
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((9, 2)), r"n_latents is 3, expected a number in \[1, 2\]"),
        (np.ones((2, 5)), "number of samples is 2"),
        (np.ones(5), r"x has shape \(5,\), expected \[sample, d_model\]"),
        (np.full((9, 5), np.nan), "x holds nan"),
    ],
)
def test_bad_data_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        PCA(3).fit(random.key(0), x)
