"""Several sources of the same features: who has what, and what each one sees."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.firing import Independent
from synthetic.parts import views
from synthetic.parts.views import Views


@pytest.mark.parametrize("d_model", [7, 4])
def test_directions_of_shared_and_own_features(d_model):
    """Three features of both and two of each: seven, of which each source has five."""
    rows = views.shared_and_own(random.key(0), 3, 2, d_model)
    assert rows.shape == (2, 7, d_model)
    has = np.array([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 1, 1]], bool)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), has, atol=1e-6)
    if d_model == 7:
        for source in range(2):
            own = np.asarray(rows[source, has[source]], float)
            np.testing.assert_allclose(own @ own.T, np.eye(5), atol=1e-6)
    between = np.sum(np.asarray(rows[0, :3]) * np.asarray(rows[1, :3]), axis=1)
    assert (np.abs(between) < 0.999).all()


def test_every_source_sees_the_same_features():
    rows = views.shared_and_own(random.key(1), 2, 1, 5, n_sources=3)
    world = Views(rows, Independent(jnp.full(5, 0.4)))
    x, features = world.sample(random.key(2), 30)
    assert x.shape == (30, 3, 5)
    for source in range(3):
        expected = np.asarray(features, float) @ np.asarray(rows[source], float)
        np.testing.assert_allclose(x[:, source], expected, atol=1e-6)
    has = [[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 0, 1]]
    np.testing.assert_array_equal(world.has, np.array(has, bool))
    assert (world.n_sources, world.n_features, world.d_model) == (3, 5, 5)


def test_a_law_of_other_features_is_refused():
    with pytest.raises(ValueError, match="number of rows of directions is 3, expected 4"):
        Views(jnp.ones((2, 3, 5)), Independent(jnp.full(4, 0.1)))


def test_a_forced_feature_moves_every_source_that_has_it():
    """Feature 3 is of the second source alone, feature 0 of both."""
    rows = views.shared_and_own(random.key(3), 2, 1, 5)
    world = Views(rows, Independent(jnp.full(4, 0.4)))
    x, features = world.sample(random.key(4), 30)
    for feature, moved in ((0, (True, True)), (3, (False, True))):
        forced = world.do(random.key(4), 30, feature, 2.0)
        assert (np.asarray(forced.features[:, feature]) == 2).all()
        others = np.delete(np.arange(4), feature)
        np.testing.assert_array_equal(forced.features[:, others], features[:, others])
        for source in range(2):
            change = (2 - features[:, feature, None]) * rows[source, feature]
            np.testing.assert_allclose(
                forced.x[:, source], x[:, source] + change, atol=1e-6
            )
            differs = not np.allclose(forced.x[:, source], x[:, source])
            assert differs == moved[source]
