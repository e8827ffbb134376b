"""ICA unmixes what was mixed."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.classical import ICA, PCA
from toymodels.scores import geometry


@pytest.fixture(scope="module")
def mixed():
    """Four independent sources, none normal, mixed by a matrix that is not orthogonal."""
    rng = np.random.default_rng(0)
    n = 10_000
    on = rng.random((n, 2)) < 0.1
    sources = np.column_stack(
        [rng.exponential(size=n), rng.uniform(-2, 2, n), rng.exponential(size=(n, 2)) * on]
    )
    mixing = rng.normal(size=(4, 4)) + np.eye(4)
    return sources, mixing, sources @ mixing + [1, -2, 3, 0]


@pytest.fixture(scope="module")
def unmixed(mixed, fitted):
    return fitted(ICA(4), random.key(1), jnp.asarray(mixed[2], jnp.float32))


def test_it_finds_the_mixing_matrix(mixed, unmixed):
    """The uniform source alone has no skew, so that its sign is free."""
    _, mixing, _ = mixed
    cosine = geometry.cosines(unmixed.W_dec, mixing)
    pairs = geometry.match(np.abs(cosine))
    # Angles of maximum-entropy estimates from 10,000 samples: of order 0.01 to 0.05.
    assert (pairs.value > 0.99).all()
    signs = cosine[pairs.latent, pairs.feature]
    assert (signs[np.asarray(pairs.feature) != 1] > 0).all()
    assert geometry.mcc_dec(np.abs(cosine)) > 0.995


def test_codes_are_the_sources_and_decode_undoes_encode(mixed, unmixed):
    sources, _, x = mixed
    z = np.asarray(ICA(4).encode(unmixed, jnp.asarray(x, jnp.float32)), float)
    correlation = np.corrcoef(z.T, sources.T)[:4, 4:]
    assert (np.abs(correlation).max(axis=0) > 0.99).all()
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(unmixed.W_dec, axis=1), 1, rtol=1e-5)
    # Float32 whitening of a matrix with a condition number of order ten.
    np.testing.assert_allclose(ICA(4).decode(unmixed, z), x, atol=1e-3)


def test_principal_components_do_not(mixed, fitted):
    params = fitted(PCA(4), random.key(1), jnp.asarray(mixed[2], jnp.float32))
    assert geometry.mcc_dec(np.abs(geometry.cosines(params.W_dec, mixed[1]))) < 0.95


def test_fewer_dimensions_than_latents_are_refused(mixed):
    x = mixed[2][:200]
    with pytest.raises(ValueError, match=r"n_latents is 5, expected a number in \[1, 4\]"):
        ICA(5).fit(random.key(2), x)
    with pytest.raises(ValueError, match="x has variance in 4 dimensions, expected at"):
        ICA(5).fit(random.key(2), np.column_stack([x, x[:, 0]]))
