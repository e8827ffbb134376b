"""Many toy models at once: equal to one at a time, and compared on equal samples."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import SparseFeatures, firing, random
from toymodels import superposition
from toymodels.training import loop, unrolled

DENSITIES = np.array([0.9, 0.3, 0.1])
N_SEEDS, STEPS, BATCH = 2, 30, 16
OPTIMIZER = optax.adamw(1e-2)


def problem(density):
    law = firing.Independent(jnp.full(4, density))
    model = superposition.Bottleneck(4, 2, importance=0.8 ** jnp.arange(4.0))
    return model, SparseFeatures.of_features(law)


def train(key, **options):
    return superposition.train(
        key,
        problem,
        DENSITIES,
        n_seeds=N_SEEDS,
        steps=STEPS,
        batch_size=BATCH,
        optimizer=OPTIMIZER,
        n_rows=3,
        **options,
    )


@pytest.fixture(scope="module")
def trained():
    return train(random.key(0), measure=lambda state: {"W": state.params.W})


def test_members_equal_the_same_models_trained_one_at_a_time(trained):
    params, history = trained
    key_init, key_data = jax.random.split(random.key(0))
    n_members = len(DENSITIES) * N_SEEDS
    inits = jax.random.split(key_init, n_members)
    data = jax.random.split(key_data, n_members)

    @jax.jit
    def alone(key_init, key_data, density):
        model, world = problem(density)
        return loop.advance(
            key_data,
            loop.start(model.init(key_init), OPTIMIZER),
            STEPS,
            loss=model.loss,
            sample=lambda key: world.sample(key, BATCH).features,
            optimizer=OPTIMIZER,
        )

    for member in range(n_members):
        setting, seed = divmod(member, N_SEEDS)
        state, chunk = alone(inits[member], data[member], DENSITIES[setting])
        # The same sums in another order, over 30 steps.
        np.testing.assert_allclose(params.W[setting, seed], state.params.W, atol=1e-5)
        losses = history.metrics["loss"][:, setting, seed]
        assert losses.mean() == pytest.approx(float(chunk.metrics["loss"]), rel=1e-4)


def test_the_history_holds_means_and_measures_by_setting_and_seed(trained):
    params, history = trained
    np.testing.assert_array_equal(history.step, [10, 20, 30])
    assert history.metrics["loss"].shape == (3, len(DENSITIES), N_SEEDS)
    assert history.metrics["W"].shape == (3, len(DENSITIES), N_SEEDS, 4, 2)
    np.testing.assert_array_equal(history.metrics["W"][-1], params.W)


def test_seeds_have_their_own_draws_unless_they_share_them():
    """From equal weights, members differ by their data alone."""

    def constant(density):
        _, world = problem(density)
        return superposition.Bottleneck(4, 2, "linear", init_scale=0.0), world

    def biases(share_draws):
        params, _ = superposition.train(
            random.key(1),
            constant,
            DENSITIES,
            n_seeds=N_SEEDS,
            steps=5,
            batch_size=BATCH,
            optimizer=OPTIMIZER,
            share_draws=share_draws,
        )
        return np.asarray(params.b)

    own, shared = biases(False), biases(True)
    assert not np.array_equal(own[:, 0], own[:, 1])
    np.testing.assert_array_equal(shared[:, 0], shared[:, 1])
    assert not np.array_equal(shared[0], shared[1])


def test_losses_are_means_over_common_samples(trained):
    params, _ = trained
    found = superposition.losses(random.key(2), problem, DENSITIES, params, 3 * 8192)
    for setting, density in enumerate(DENSITIES):
        _, world = problem(density)
        batches = [
            world.sample(key, 8192).features
            for key in jax.random.split(random.named(random.key(2), "losses"), 3)
        ]
        for seed in range(N_SEEDS):
            one = jax.tree.map(lambda leaf: leaf[setting, seed], params)  # noqa: B023
            features = np.concatenate(batches).astype(float)
            W, b = np.asarray(one.W, float), np.asarray(one.b, float)
            error = (features - np.maximum(features @ W @ W.T + b, 0)) ** 2
            expected = np.mean(error * 0.8 ** np.arange(4))
            # float32 means of blocks of 8,192.
            assert found[setting, seed] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_one_compilation_serves_every_chunk(n_seeds):
    """Three members on two devices, and six."""
    traced = []

    def counting(density):
        traced.append(density)
        return problem(density)

    states, advance = superposition.program(
        random.key(0),
        counting,
        DENSITIES,
        n_seeds=n_seeds,
        batch_size=BATCH,
        optimizer=OPTIMIZER,
    )
    # A state placed elsewhere than the one before would be compiled for again.
    places = jax.tree.map(lambda leaf: leaf.sharding, states)
    states, _ = advance(states, 2)
    once = len(traced)
    for n in (3, 1):
        states, _ = advance(states, n)
    assert len(traced) == once
    assert jax.tree.map(lambda leaf: leaf.sharding, states) == places


def test_a_run_without_seeds_or_samples_is_refused():
    for broken in ({"n_seeds": 0, "batch_size": 4}, {"n_seeds": 1, "batch_size": 0}):
        with pytest.raises(ValueError, match=r"is 0, expected a number in \[1"):
            superposition.train(
                random.key(0), problem, DENSITIES, steps=1, optimizer=OPTIMIZER, **broken
            )


def test_unrolled_products_equal_matrix_products():
    generator = np.random.default_rng(0)
    x, W = generator.normal(size=(7, 5)), generator.normal(size=(5, 3))
    columns = unrolled.product(unrolled.columns(jnp.asarray(x)), jnp.asarray(W))
    np.testing.assert_allclose(np.stack(columns, axis=1), x @ W, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_hidden", [3, 4])
def test_the_written_out_loss_equals_the_dense_one(n_hidden):
    """21 features in 3 dimensions are written out, in 4 they are not."""
    model = superposition.Bottleneck(21, n_hidden, importance=0.9 ** jnp.arange(21.0))
    params = model.init(random.key(0))._replace(b=0.1 * jnp.arange(21.0))
    assert unrolled.pays(params.W) == (n_hidden == 3)
    features = jax.random.normal(random.key(1), (6, 21))
    value, _ = model.loss(params, features, (), jnp.int32(0))
    out = model.readout(params, model.hidden(params, features))
    expected = jnp.mean(model.importance * (jnp.abs(features) - out) ** 2)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
