"""What worlds, weights and histories print fits on a line and holds no digits of arrays."""

import jax
import jax.numpy as jnp
import numpy as np

from synthetic import SparseFeatures, Stored, firing, random
from synthetic.parts import views
from synthetic.worlds import standard
from toymodels import sae
from toymodels.training.loop import History


def test_a_world_prints_shapes_and_numbers():
    law = firing.Independent(jnp.ones(2, jnp.float32))
    world = SparseFeatures(jnp.eye(2, 3, dtype=jnp.float32), law, noise=0.1)
    assert repr(world) == (
        "SparseFeatures(directions=float32[2, 3], firing=Independent(probability="
        "float32[2]), magnitude=Uniform(low=0, high=1), bias=0, noise=0.1)"
    )
    stored = Stored.of_arrays(np.zeros((9, 4)), np.zeros((9, 2), bool))
    assert repr(stored) == "Stored(x=float32[9, 4], features=bool[9, 2], directions=None)"


def test_wide_worlds_and_weights_stay_short():
    """Digits of these would be thousands of characters."""
    law = firing.Independent(jnp.full(64, 0.1))
    things = [
        standard.hierarchy(),
        SparseFeatures.random(random.key(0), 512, 256),
        views.Views(jnp.ones((2, 64, 8)), law),
        sae.ReLU(64).init(random.key(1), 32),
        sae.Gated(64).init(random.key(1), 32),
        sae.JumpReLU(64).init(random.key(1), 32),
        sae.BatchTopK(64, k=2.0).init(random.key(1), 32),
    ]
    for thing in things:
        assert len(repr(thing)) < 500, thing
        assert "Array(" not in repr(thing)


def test_numbers_that_are_known_are_shown_and_traced_ones_are_not():
    seen = []

    def look(bias):
        rows = jnp.eye(2)
        seen.append(repr(SparseFeatures(rows, firing.Independent(jnp.ones(2)), bias=bias)))
        return bias

    look(jnp.float32(0.25))
    jax.jit(look)(jnp.float32(0.25))
    assert "bias=0.25" in seen[0]
    assert "bias=float32[]" in seen[1]


def test_a_history_tells_where_its_metrics_began_and_ended():
    metrics = {"loss": np.array([2.0, 1.0, 0.5]), "l0": np.array([[1, 3], [2, 4], [5, 6]])}
    assert repr(History(np.array([500, 1000, 1500]), metrics)) == (
        "History(3 rows to step 1,500: loss 2 to 0.5, l0 2 to 5.5 (mean of 2))"
    )
    assert repr(History(np.zeros(0, int), {})) == "History(no rows)"
