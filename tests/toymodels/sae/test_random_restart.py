"""Dead latents that start anew in random directions, and small weights written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import ReLU, base, revival, training
from toymodels.training import loop

RULE = revival.RandomRestart(every=10, until=30, dead_after=64, scale=0.5)


def restarted(n_latents: int = 3, d_model: int = 2):
    """The state before and after; latent 1 is dead."""
    params = base.init_tied(random.key(0), n_latents, d_model)
    params = params._replace(b_enc=jnp.full(n_latents, -1.0))
    state = loop.start(params, optax.adam(1e-2), jnp.full(n_latents, 70))
    moments = jax.tree.map(lambda leaf: leaf + 0.5, state.opt[0].mu)
    opt = (state.opt[0]._replace(mu=moments, nu=moments), *state.opt[1:])
    state = state.replace(opt=opt)
    dead = jnp.arange(n_latents) == 1
    x = jnp.zeros((4, d_model))
    return state, RULE.restart(random.key(1), state, x, x, dead)


def test_a_dead_latent_gets_a_unit_row_and_the_same_direction_as_encoder():
    _, new = restarted()
    assert float(jnp.linalg.norm(new.params.W_dec[1])) == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(new.params.W_enc[:, 1], 0.5 * new.params.W_dec[1], rtol=1e-6)
    assert new.params.b_enc[1] == 0
    assert new.memory[1] == 0
    for moment in (new.opt[0].mu, new.opt[0].nu):
        np.testing.assert_array_equal(moment.W_dec[1], 0)
        np.testing.assert_array_equal(moment.W_enc[:, 1], 0)


def test_the_living_stay_bitwise():
    state, new = restarted()
    alive = np.array([0, 2])
    np.testing.assert_array_equal(new.params.W_dec[alive], state.params.W_dec[alive])
    np.testing.assert_array_equal(new.params.W_enc[:, alive], state.params.W_enc[:, alive])
    np.testing.assert_array_equal(new.params.b_enc[alive], -1)
    np.testing.assert_array_equal(new.memory[alive], 70)
    np.testing.assert_array_equal(new.opt[0].mu.W_dec[alive], 0.5)


def test_new_directions_are_uniform_on_the_circle():
    n = 4_000
    params = base.init_tied(random.key(2), n, 2)
    state = loop.start(params, optax.adam(1e-2), jnp.full(n, 70))
    x = jnp.zeros((4, 2))
    new = RULE.restart(random.key(3), state, x, x, jnp.ones(n, bool))
    angle = np.arctan2(*np.asarray(new.params.W_dec).T)
    for multiple in (1, 2, 5):
        # Each mean has a standard deviation of sqrt(1 / 2n) = 0.011; five of them.
        assert abs(np.exp(1j * multiple * angle).mean()) < 0.056


def test_rounds_are_on_schedule_and_until_0_means_none():
    def due(rule):
        return [step for step in range(1, 60) if bool(rule.is_due(jnp.int32(step)))]

    assert due(RULE) == [10, 20, 30]
    assert due(revival.RandomRestart(every=10, until=0)) == []


@pytest.mark.slow
def test_conformance():
    testing.check(ReLU(12, sparsity=0.1, revive=RULE), random.key(4))


@pytest.mark.slow
def test_relu_brings_a_dead_latent_back():
    """All latents start dead (bias -10); the rule alone can move them."""
    world = testing.easy_world(random.key(5))

    def dead_at_the_end(until):
        rule = revival.RandomRestart(every=50, until=until, dead_after=1_000, scale=1.0)
        dictionary = ReLU(8, sparsity=0.05, revive=rule)
        optimizer = training.adam(3e-3, 300)
        state = training.start(random.key(6), dictionary, 8, optimizer)
        params = state.params._replace(b_enc=jnp.full(8, -10.0))
        end, _ = jax.jit(
            lambda state: training.advance(
                random.key(7),
                dictionary,
                state,
                300,
                world=world,
                optimizer=optimizer,
                batch_size=128,
            )
        )(state.replace(params=params))
        x = world.sample(random.key(8), 2_000).x
        return int((dictionary.encode(end.params, x) == 0).all(0).sum())

    assert dead_at_the_end(0) == 8
    assert dead_at_the_end(200) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: revival.RandomRestart(every=0), "every is 0, expected"),
        (lambda: revival.RandomRestart(scale=-1.0), "scale is -1, expected"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_gradient_goes_along_a_decoder_row():
    params = base.init_tied(random.key(10), 12, 6)
    x = jax.random.normal(random.key(11), (64, 6))
    dictionary = ReLU(12, sparsity=0.3)

    def loss(params):
        return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))[0]

    gradient = jax.jit(jax.grad(loss))(params).W_dec
    along = jnp.sum(gradient * params.W_dec, axis=1)
    # Zero up to the rounding of the sums that cancel.
    assert float(jnp.abs(along).max() / jnp.abs(gradient).max()) < 1e-5


def test_small_weights_written_out_give_the_same_loss_and_gradients():
    """5 latents in 2 dimensions are written out; the products say the same."""
    key_w, key_b, key_x = jax.random.split(random.key(9), 3)
    dictionary = ReLU(5, sparsity=0.3)
    params = dictionary.init(key_w, 2)._replace(
        b_enc=0.1 * jax.random.normal(key_b, (5,)), b_dec=jnp.array([0.2, -0.1])
    )
    x = jax.random.normal(key_x, (64, 2))

    def by_products(params):
        params = base.with_unit_rows(params)
        z = dictionary.encode(params, x)
        error = base.squared_error(x, dictionary.decode(params, z))
        return error + 0.3 * jnp.mean(jnp.sum(z, axis=-1))

    def written_out(params):
        return dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))[0]

    for found, expected in zip(
        jax.tree.leaves(jax.jit(jax.value_and_grad(written_out))(params)),
        jax.tree.leaves(jax.jit(jax.value_and_grad(by_products))(params)),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
