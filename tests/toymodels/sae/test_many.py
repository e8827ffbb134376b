"""Members fitted together are what each would be alone; what does not learn stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from synthetic import SparseFeatures, directions, firing, random
from synthetic.base import Batch
from toymodels.sae import Params, ReLU, training
from toymodels.sae.many import fit_members
from toymodels.training import ensemble

STEPS, BATCH, WIDTH = 40, 64, 12


@pytest.fixture(scope="module")
def members():
    """Three members that differ in penalty, directions, density, start and data."""
    keys = jax.random.split(random.key(0), 3)
    found = []
    for i, key in enumerate(keys):
        key_rows, key_init = jax.random.split(key)
        rows = directions.orthogonal(key_rows, WIDTH, WIDTH)
        world = SparseFeatures(rows, firing.Independent(jnp.full(WIDTH, 0.1 * (i + 1))))
        dictionary = ReLU(WIDTH + 1, sparsity=0.05 * (i + 1), revive=None)
        found.append((dictionary, world, dictionary.init(key_init, WIDTH)))
    return found


def data_keys():
    return jax.random.split(random.key(1), 3)


def fitted(members, **options):
    return fit_members(data_keys(), *ensemble.stack(members), STEPS, BATCH, 0.01, **options)


@pytest.fixture(scope="module")
def together(members):
    """Fitted in chunks and blocks; the first holds b_dec, the last learns nothing."""
    learns = dict.fromkeys(("W_enc", "b_enc", "W_dec"), np.array([True, True, False]))
    learns["b_dec"] = np.array([False, True, False])
    return fitted(members, chunk=15, block=2, learns=learns)


def test_a_member_is_what_it_would_be_alone(members, together):
    params, history = together
    assert history.step.tolist() == [15, 30, 40]
    assert history.metrics["loss"].shape == (3, 3)
    dictionary, world, start = members[1]
    optimizer = training.adam(0.01, STEPS)
    state = training.start(random.key(9), dictionary, WIDTH, optimizer)
    state = state.replace(params=start)
    state, _ = jax.jit(training.advance, static_argnames=("optimizer", "batch_size"))(
        data_keys()[1],
        dictionary,
        state,
        STEPS,
        world=world,
        optimizer=optimizer,
        batch_size=BATCH,
    )
    # The order of float32 sums differs; weights move by up to 40 steps of 0.01.
    for found, expected in zip(params, state.params, strict=True):
        np.testing.assert_allclose(found[1], expected, atol=2e-4)


def test_what_does_not_learn_stays_and_the_rest_moves(members, together):
    starts = ensemble.stack([member[2] for member in members])
    moved = [
        np.abs(np.asarray(new - old)).reshape(3, -1).max(axis=1)
        for new, old in zip(together[0], starts, strict=True)
    ]
    for name, by in zip(Params._fields, moved, strict=True):
        # Rows are scaled to length 1 after each step, by a float32 rounding at most.
        assert by[2] < 1e-6, name
        assert by[1] > 0.01, name
        assert (by[0] < 1e-6) == (name == "b_dec"), name


def test_one_world_for_all_is_that_world_for_each(members, together):
    dictionaries, _, params = ensemble.stack(members)
    found, _ = fit_members(
        data_keys(), dictionaries, members[1][1], params, STEPS, BATCH, 0.01, one_world=True
    )
    for a, b in zip(found, together[0], strict=True):
        np.testing.assert_allclose(a[1], b[1], atol=2e-4)
    assert float(jnp.abs(found.b_dec[0]).max()) > 0.01


def test_each_member_may_have_a_learning_rate_of_its_own(members, together):
    stacked = ensemble.stack(members)
    rates = jnp.array([0.0, 0.01, 0.02])
    found, _ = fit_members(data_keys(), *stacked, STEPS, BATCH, rates)
    np.testing.assert_allclose(found.W_enc[0], stacked[2].W_enc[0], atol=1e-6)
    np.testing.assert_allclose(found.W_enc[1], together[0].W_enc[1], atol=2e-4)
    moved = np.abs(np.asarray(found.W_enc - stacked[2].W_enc)).max(axis=(1, 2))
    assert moved[2] > 1.5 * moved[1]


@pytest.mark.parametrize("function", [training.fit, fit_members])
def test_calls_that_differ_in_leaves_share_one_program(function):
    """Numbers of world and dictionary, the rate and the keys are no part of a program."""
    traced = []

    @struct.dataclass
    class Counted:
        scale: float
        d_model: int = struct.field(pytree_node=False, default=3)

        def sample(self, key, batch_size):
            traced.append(batch_size)
            x = self.scale * jax.random.normal(key, (batch_size, 3))
            return Batch(x, x > 0)

    counts, losses = [], []
    for i, scale in enumerate((1.0, 2.0)):
        parts = ReLU(4, sparsity=0.1 * scale, revive=None), Counted(scale)
        key, rest = random.key(150 + i), parts
        if function is fit_members:
            key = jax.random.split(key, 2)
            of_two = ensemble.stack([parts, parts])
            rest = *of_two, ensemble.stack([parts[0].init(random.key(152), 3)] * 2)
        fitted = function(key, *rest, 4, 8, learning_rate=0.01 * scale, chunk=2)
        history = fitted.history if function is training.fit else fitted[1]
        counts.append(len(traced))
        losses.append(history.metrics["loss"])
    assert counts[0] == counts[1] > 0
    assert np.isfinite(losses).all()
    assert (losses[0] != losses[1]).all()
