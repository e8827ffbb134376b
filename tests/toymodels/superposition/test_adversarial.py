"""Analytic attacks: closed forms, and no random push of the same size does more harm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, random
from toymodels.superposition import (
    Bottleneck,
    Params,
    adversarial_damage,
    attack_directions,
)


def loss(model, params, features, pushed):
    out = model.readout(params, model.hidden(params, pushed))
    return jnp.sum(model.importance * (features - out) ** 2, axis=-1)


def test_features_of_their_own_lose_the_square_of_the_radius():
    model = Bottleneck(4, 4)
    params = Params(jnp.eye(4), jnp.zeros(4))
    features = jnp.array([[0.5, 0.0, 0.9, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = adversarial_damage(model, params, features, 0.1)
    np.testing.assert_allclose(found, 0.01, rtol=1e-5)


def test_a_linear_tight_frame_is_vulnerable_in_proportion_to_features_per_dimension():
    """An exact answer moves by radius^2 ||W W_i||^2 in output i; here that is all.

    At features = 0 with b = 0 the error after the attack is radius^2 ||W W^T u||^2, u the
    unit push; a unit tight frame has W W^T W = (n/m) W, so it is radius^2 (n/m)^2.
    """
    n_features, n_hidden = 5, 4
    W = directions.simplex(n_hidden)
    model = Bottleneck(n_features, n_hidden, output="linear")
    params = Params(W, jnp.zeros(n_features))
    found = adversarial_damage(model, params, jnp.zeros((1, n_features)), 0.1)
    np.testing.assert_allclose(found, (0.1 * n_features / n_hidden) ** 2, rtol=1e-5)


def test_the_worst_of_both_signs_by_hand():
    """f = 0.4 on a digon: pushes along (1, -1)/sqrt 2 move h by 0.1 sqrt 2."""
    model = Bottleneck(2, 1)
    params = Params(jnp.array([[1.0], [-1.0]]), jnp.zeros(2))
    found = adversarial_damage(model, params, jnp.array([[0.4, 0.0]]), 0.1)
    np.testing.assert_allclose(found, 2 * 0.1**2, rtol=1e-5)


def test_no_single_output_moves_further_under_a_random_push():
    key_W, key_push = jax.random.split(random.key(0))
    W = jax.random.normal(key_W, (6, 3))
    best = attack_directions(Params(W, jnp.zeros(6)))
    random_pushes = directions.random(key_push, 1000, 6)
    reach = jnp.diagonal(best @ W @ W.T)
    assert jnp.all(jnp.abs(random_pushes @ W @ W.T) <= reach + 1e-5)


def test_the_damage_is_that_of_an_attack_within_the_radius():
    """Computed again, attack by attack, with the loss written out."""
    model = Bottleneck(6, 3, importance=0.8 ** jnp.arange(6))
    key_W, key_features = jax.random.split(random.key(1))
    params = Params(0.6 * jax.random.normal(key_W, (6, 3)), jnp.full(6, -0.1))
    world = SparseFeatures.of_features(firing.Independent(jnp.full(6, 0.4)))
    features = world.sample(key_features, 50).features
    clean = loss(model, params, features, features)
    pushes = attack_directions(params)
    np.testing.assert_allclose(jnp.linalg.norm(pushes, axis=1), 1, rtol=1e-5)
    attacked = [
        loss(model, params, features, features + sign * 0.2 * push)
        for push in pushes
        for sign in (1, -1)
    ]
    found = adversarial_damage(model, params, features, 0.2)
    np.testing.assert_allclose(found, np.max(attacked, axis=0) - clean, atol=1e-5)


def test_a_dropped_feature_has_no_direction():
    params = Params(jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.zeros(2))
    np.testing.assert_array_equal(attack_directions(params), [[1, 0], [0, 0]])
    found = adversarial_damage(Bottleneck(2, 2), params, jnp.zeros((1, 2)), 0.5)
    assert np.isfinite(found).all()


def test_a_negative_radius_is_refused():
    params = Params(jnp.eye(2), jnp.zeros(2))
    with pytest.raises(ValueError, match="radius is -0"):
        adversarial_damage(Bottleneck(2, 2), params, jnp.zeros((1, 2)), -0.1)
