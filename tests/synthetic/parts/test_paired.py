"""Functions of features by hand, and what their directions in the source mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, random
from synthetic.firing import Independent
from synthetic.parts.paired import ReLUFunctions


def functions(n_features=3, d_source=4, **parts):
    rows = directions.random(random.key(0), n_features, d_source)
    inputs = SparseFeatures(rows, Independent(jnp.full(n_features, 0.5)), bias=0.3)
    given = {
        "reads": jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]),
        "directions": jnp.array([[1.0, 0.0], [0.6, 0.8]]),
        "threshold": jnp.array([0.5, 0.0]),
        "bias": jnp.array([0.0, -1.0]),
    }
    return ReLUFunctions(inputs, **(given | parts))


def test_values_and_targets_by_hand():
    """g = (relu(a + b - 0.5), 2 c), y = g_1 (1, 0) + g_2 (0.6, 0.8) + (0, -1)."""
    world = functions()
    (source, target), values = world.sample(random.key(1), 50)
    same, features = world.inputs.sample(random.key(1), 50)
    np.testing.assert_array_equal(source, same)
    a, b, c = np.asarray(features, float).T
    expected = np.column_stack([np.maximum(a + b - 0.5, 0), 2 * c])
    np.testing.assert_allclose(values, expected, atol=1e-6)
    y = np.column_stack([expected[:, 0] + 0.6 * expected[:, 1], 0.8 * expected[:, 1] - 1])
    np.testing.assert_allclose(target, y, atol=1e-6)
    assert (world.n_features, world.d_model) == (2, 4)


def test_read_directions_read_the_features_that_a_function_takes():
    """From leaning directions, in their span; the bias of the source is not theirs."""
    world = functions()
    (source, _), _ = world.sample(random.key(2), 50)
    features = world.inputs.sample(random.key(2), 50).features
    read = np.asarray((source - 0.3) @ world.read_directions.T)
    np.testing.assert_allclose(read, features @ world.reads.T, atol=1e-5)
    rows = np.asarray(world.inputs.directions, float)
    outside = np.linalg.svd(rows)[2][3:]
    np.testing.assert_allclose(world.read_directions @ outside.T, 0, atol=1e-6)


def test_worlds_are_swept_by_vmap():
    sample = jax.jit(
        jax.vmap(lambda threshold: functions(threshold=threshold).sample(random.key(3), 20))
    )
    together = sample(jnp.array([0.0, 0.7]))
    alone = functions(threshold=0.7).sample(random.key(3), 20)
    np.testing.assert_allclose(together.features[1], alone.features, atol=1e-6)
    np.testing.assert_allclose(together.x.target[1], alone.x.target, atol=1e-6)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"reads": jnp.ones((2, 5))}, "the width of reads is 5, expected 3"),
        ({"directions": jnp.ones((3, 2))}, "the length of directions is 3, expected 2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        functions(**parts)


def test_a_forced_function_moves_the_target_alone():
    world = functions()
    (source, target), values = world.sample(random.key(5), 40)
    forced = world.do(random.key(5), 40, 1, 3.0)
    np.testing.assert_array_equal(forced.x.source, source)
    np.testing.assert_array_equal(forced.features[:, 0], values[:, 0])
    change = 3 - np.asarray(values[:, 1:], float)
    expected = np.asarray(target, float) + change * np.array([0.6, 0.8])
    np.testing.assert_allclose(forced.x.target, expected, atol=1e-6)
