"""Stored rows come back as they were given, together, each as likely as any other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Stored, random
from synthetic.testing import check

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 3))
FEATURES = GENERATOR.random((40, 2))


class Tensor:
    """As much of a tensor as is used, one that needs a gradient in half precision."""

    def __init__(self, array, ready=False):
        self.array, self.ready = array, ready

    def detach(self):
        return self

    def cpu(self):
        return self

    def is_floating_point(self):
        return True

    def float(self):
        return Tensor(self.array, ready=True)

    def numpy(self):
        assert self.ready
        return self.array


def test_it_keeps_the_contract_of_a_world():
    check(Stored.of_arrays(X, FEATURES, np.eye(2, 3)), random.key(0))
    check(Stored.of_arrays(X, FEATURES), random.key(1))


def test_rows_of_x_and_features_stay_together():
    world = Stored.of_arrays(X, FEATURES)
    assert (world.n_rows, world.d_model, world.n_features) == (40, 3, 2)
    batch = world.sample(random.key(2), 100)
    distance = np.abs(np.asarray(batch.x)[:, None] - X).max(axis=2)
    row = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-6
    np.testing.assert_allclose(batch.features, FEATURES[row], rtol=1e-6)


def test_every_row_is_as_likely_as_any_other():
    number = np.arange(40.0)[:, None]
    batch = Stored.of_arrays(number, number).sample(random.key(3), 40_000)
    counts = np.bincount(np.asarray(batch.x[:, 0], int), minlength=40)
    # Poisson about 1,000: a deviation of 31.6; five of them.
    assert np.abs(counts - 1_000).max() < 158


@pytest.mark.parametrize("make", [list, np.float64, np.float16, jnp.asarray, Tensor])
def test_arrays_come_from_anywhere(make):
    whole = np.array([[1, 2, 4], [8, 16, 32]], float)
    given = whole.tolist() if make is list else make(whole)
    world = Stored.of_arrays(given, given)
    assert world.x.dtype == world.features.dtype == jnp.float32
    np.testing.assert_array_equal(world.x, whole)


def test_booleans_are_kept_and_drawn_as_numbers():
    world = Stored.of_arrays(X, FEATURES > 0.5)
    assert world.features.dtype == bool
    batch = jax.jit(lambda world: world.sample(random.key(4), 20))(world)
    assert batch.features.dtype == jnp.float32
    assert set(np.unique(batch.features)) == {0, 1}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((X[:39], FEATURES), "number of rows of x is 39, expected 40; row i of both"),
        ((X[:0], FEATURES[:0]), "number of rows is 0, expected"),
        ((X[None], FEATURES), r"x has shape \(1, 40, 3\) and dtype float64, expected numb"),
        ((X, np.full((40, 2), "a")), r"features has shape \(40, 2\) and dtype <U1"),
        ((X * np.inf, FEATURES), "x holds -?inf at index"),
        ((X, FEATURES, np.eye(3)), "number of directions is 3, expected 2; directions are"),
        ((X, FEATURES, np.eye(2)), "width of directions is 2, expected 3"),
        ((X, FEATURES, 2 * np.eye(2, 3)), "direction 0 has length 2, expected 1 or 0; div"),
    ],
)
def test_what_does_not_belong_together_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        Stored.of_arrays(*arrays)
