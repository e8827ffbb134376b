"""k-means: the means of clusters that are far apart."""

import jax
import jax.numpy as jnp
import numpy as np

from synthetic import random
from toymodels.classical import KMeans, kmeans


def test_it_finds_the_means_of_separated_clusters(fitted):
    rng = np.random.default_rng(0)
    centres = 20 * np.eye(5)[:, :4] - 3
    label = np.repeat(np.arange(5), 30)
    x = centres[label] + rng.normal(size=(150, 4))
    expected = np.stack([x[label == i].mean(axis=0) for i in range(5)])

    params = fitted(KMeans(5), random.key(1), jnp.asarray(x, jnp.float32))
    distance = np.linalg.norm(expected[:, None] - np.asarray(params.W_dec), axis=2)
    order = distance.argmin(axis=1)
    assert sorted(order) == list(range(5))
    np.testing.assert_allclose(params.W_dec[order], expected, atol=1e-4)  # float32 sums
    z = np.asarray(KMeans(5).encode(params, jnp.asarray(x, jnp.float32)))
    np.testing.assert_array_equal(z, np.eye(5)[order[label]])
    x_hat = KMeans(5).decode(params, z)
    np.testing.assert_allclose(x_hat, expected[label], atol=1e-4)


def test_seeds_are_different_samples_drawn_by_squared_distance():
    """From 0, 0, 0, 1 and 3: after a seed at 0 the chances of 1 and 3 are 1 : 9."""
    x = jnp.array([[0.0], [0.0], [0.0], [1.0], [3.0]])
    draw = jax.jit(jax.vmap(lambda key: kmeans.seeds(key, x, 2)[:, 0]))
    seeds = np.asarray(draw(jax.random.split(random.key(2), 4_000)))
    assert (seeds[:, 0] != seeds[:, 1]).all()
    first, second = seeds[seeds[:, 0] == 0].T
    # 2,400 draws start at 0; five binomial deviations: 5 sqrt(0.6 * 0.4 / 4000) = 0.039
    # for the first seed, 5 sqrt(0.09 / 2400) = 0.031 for the second.
    assert abs(len(first) / 4_000 - 0.6) < 0.039
    assert abs((second == 3).mean() - 0.9) < 0.031
