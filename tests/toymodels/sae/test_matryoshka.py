"""Matryoshka: one level is BatchTopK, levels by NumPy, what `detach` cuts, the balance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.matryoshka import Matryoshka, reconstructions
from toymodels.sae.threshold import Memory

CUTS = (3, 7, 12)


def test_conformance():
    testing.check(Matryoshka(12, CUTS, (0.5, 1.0, 2.0), k=2.5), random.key(0))


def test_recovers_an_easy_world(easy_world):
    """The inner level weighs little, or its latents would take two features each."""
    dictionary = Matryoshka(12, (4, 12), (0.05, 1.0), k=1.0)
    testing.check_recovers(dictionary, easy_world, random.key(1), 0.99)


@pytest.fixture(scope="module")
def case():
    """Random weights and samples; latents 1, 4 and 8, one in each level, are dead."""
    key_w, key_b, key_x = jax.random.split(random.key(2), 3)
    params = BatchTopK(12).init(key_w, 6)
    params = params._replace(b_dec=0.3 * jax.random.normal(key_b, (6,)))
    x = jax.random.normal(key_x, (24, 6))
    quiet = jnp.zeros(12, jnp.int32).at[jnp.array([1, 4, 8])].set(30_000)
    return params, x, Memory(quiet, jnp.zeros(()))


def value_and_gradient(dictionary, case):
    params, x, memory = case
    return jax.jit(jax.value_and_grad(dictionary.loss, has_aux=True))(
        params, x, memory, jnp.int32(3)
    )


@pytest.mark.parametrize("detach", ["none", "inner", "all"])
def test_one_level_is_batchtopk(case, detach):
    ours = value_and_gradient(Matryoshka(12, (12,), k=2, detach=detach), case)
    theirs = value_and_gradient(BatchTopK(12, k=2), case)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    params, x, _ = case
    np.testing.assert_array_equal(
        Matryoshka(12, (12,), k=2).encode(params, x), BatchTopK(12, k=2).encode(params, x)
    )


def errors_by_numpy(params, x, z):
    """||x - x_hat_l||^2 per level, from prefixes multiplied out one by one."""
    x, z, rows = (np.asarray(a, float) for a in (x, z, params.W_dec))
    x_hats = [z[:, :m] @ rows[:m] + np.asarray(params.b_dec) for m in CUTS]
    return x_hats, [np.square(x - x_hat).sum(1).mean() for x_hat in x_hats]


def test_levels_against_numpy(case):
    params, x, _ = case
    weights = (0.5, 0.25, 2.0)
    dictionary = Matryoshka(12, CUTS, weights, k=2, aux=0.0)
    z = dictionary.encode_batch(params, x)
    expected, errors = errors_by_numpy(params, x, z)
    found = reconstructions(params, z, CUTS)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    (value, outcome), _ = value_and_gradient(dictionary, case)
    # The weights are used as they are: no mean over the levels.
    assert float(value) == pytest.approx(np.dot(weights, errors), rel=1e-5)
    assert float(outcome.metrics["squared_error"]) == pytest.approx(errors[-1], rel=1e-5)
    (plain, _), _ = value_and_gradient(Matryoshka(12, CUTS, k=2, aux=0.0), case)
    assert float(plain) == pytest.approx(sum(errors), rel=1e-5)


@pytest.mark.parametrize("detach", ["inner", "all"])
def test_detaching_changes_no_value(case, detach):
    ours = value_and_gradient(Matryoshka(12, CUTS, k=2, detach=detach), case)[0]
    plain = value_and_gradient(Matryoshka(12, CUTS, k=2), case)[0]
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)


def gradient_of_levels(case, weights, detach):
    """W_dec's and b_dec's gradients, the decoder alone being moved."""
    params, x, _ = case
    dictionary = Matryoshka(12, CUTS, weights, k=2, aux=0.0, detach=detach)
    z = dictionary.encode_batch(params, x)

    def loss(W_dec, b_dec):
        moved = params._replace(W_dec=W_dec, b_dec=b_dec)
        errors = [
            jnp.mean(jnp.sum(jnp.square(x - x_hat), -1))
            for x_hat in reconstructions(moved, z, CUTS, detach)
        ]
        return jnp.dot(jnp.asarray(weights), jnp.stack(errors))

    return jax.grad(loss, argnums=(0, 1))(params.W_dec, params.b_dec)


def test_detached_levels_move_their_own_latents_alone(case):
    levels = [slice(0, 3), slice(3, 7), slice(7, 12)]
    for i, own in enumerate(levels):
        weights = tuple(float(i == j) for j in range(3))
        free, free_bias = gradient_of_levels(case, weights, "none")
        cut, bias = gradient_of_levels(case, weights, "all")
        # Its own latents feel the error as they would alone; no others feel any.
        np.testing.assert_array_equal(cut[own], free[own])
        others = np.delete(np.asarray(cut), np.r_[own], axis=0)
        np.testing.assert_array_equal(others, 0)
        np.testing.assert_array_equal(bias, free_bias if i == 0 else 0 * free_bias)
        inner, inner_bias = gradient_of_levels(case, weights, "inner")
        expected = (free, free_bias) if i == 2 else (cut, bias)
        np.testing.assert_array_equal(inner, expected[0])
        np.testing.assert_array_equal(inner_bias, expected[1])


def test_later_levels_do_not_reach_earlier_encoders(case):
    dictionary = Matryoshka(12, CUTS, (0.0, 0.0, 1.0), k=2, aux=0.0, detach="all")
    _, gradient = value_and_gradient(dictionary, case)
    np.testing.assert_array_equal(gradient.W_enc[:, :7], 0)
    np.testing.assert_array_equal(gradient.b_enc[:7], 0)
    assert float(jnp.abs(gradient.W_enc[:, 7:]).max()) > 1e-3


def test_aux_revives_each_levels_dead_on_that_levels_residual(case):
    """Against NumPy, whatever the levels' weights; the living feel nothing."""
    params, x, memory = case
    dead = np.asarray(memory.quiet) > 20_000
    z = Matryoshka(12, CUTS, k=2).encode_batch(params, x)
    x_hats, _ = errors_by_numpy(params, x, z)
    pre = np.maximum((x - params.b_dec) @ params.W_enc + params.b_enc, 0)
    expected = 0.0
    for low, high, x_hat in zip((0, *CUTS), CUTS, x_hats, strict=False):
        own = dead & (np.arange(12) >= low) & (np.arange(12) < high)
        # One dead latent a level, of which up to 3 a sample take part.
        e = np.where(own, pre, 0) @ np.asarray(params.W_dec)
        expected += np.square(np.asarray(x) - x_hat - e).sum(1).mean()

    def run(aux):
        dictionary = Matryoshka(12, CUTS, (0.5, 0.1, 1.0), k=2, aux=aux)
        return value_and_gradient(dictionary, case)

    ((with_aux, _), moved), ((without, _), still) = run(0.5), run(0.0)
    assert float(with_aux - without) == pytest.approx(0.5 * expected, rel=1e-4)
    np.testing.assert_array_equal(moved.W_dec[~dead], still.W_dec[~dead])
    np.testing.assert_array_equal(moved.W_enc[:, ~dead], still.W_enc[:, ~dead])
    assert (np.abs(moved.W_dec - still.W_dec)[dead].max(1) > 1e-4).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matryoshka(8, (3, 6)), r"prefixes is \(3, 6\), expected .* = 8"),
        (lambda: Matryoshka(8, (6, 3, 8)), "expected rising widths"),
        (lambda: Matryoshka(8, ()), r"prefixes is \(\)"),
        (lambda: Matryoshka(8, (0, 8)), "expected rising widths"),
        (lambda: Matryoshka(8, (3, 8), (1.0,)), "1 weights came for 2 prefixes"),
        (lambda: Matryoshka(8, (3, 8), detach="some"), "detach is 'some'"),
        (lambda: Matryoshka(8, (3, 8), k=9), "k is 9"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
