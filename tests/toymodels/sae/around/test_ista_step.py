"""ISTA steps: none is the plain variant, one by NumPy, thresholds for each selection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import training
from toymodels.sae.around import scaling as scalings
from toymodels.sae.around.ista_step import IstaStep, RefinedParams
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.frequency import FrequencySort
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.threshold import calibrate
from toymodels.scores import geometry

RECIPE = IstaStep(
    Matryoshka(
        12,
        (4, 12),
        (0.25, 1.0),
        k=1.0,
        tilt=0.01,
        detach="inner",
        sort=FrequencySort(every=100, start=200),
    ),
    eta=0.25,
)


def test_conformance():
    testing.check(RECIPE, random.key(0))
    testing.check(IstaStep(BatchTopK(12, k=2.5), n_steps=2), random.key(1))


@pytest.fixture(scope="module")
def trained(easy_world):
    """The best published recipe, on the easy world.

    Without its falling k: on so small a world, more latents than features on leave rows
    mixed.
    """
    params = training.fit(random.key(2), RECIPE, easy_world, 1_500, 256).params
    return params


@pytest.mark.slow
def test_the_whole_recipe_recovers_an_easy_world(trained, easy_world):
    cosines = geometry.cosines(trained.W_dec, easy_world.directions)
    assert geometry.mcc_dec(cosines) > 0.99


def test_every_selection_has_a_running_threshold(trained, easy_world):
    x = easy_world.sample(random.key(3), 10_000).x
    exact = calibrate(RECIPE, trained, x)
    assert trained.earlier.shape == (1,)
    for running, found in zip(
        (trained.threshold, *trained.earlier),
        (exact.threshold, *exact.earlier),
        strict=True,
    ):
        # The bulk of the values that are kept lies between 0.1 and 1.
        assert float(running) == pytest.approx(float(found), abs=0.05)


@pytest.fixture(scope="module")
def case():
    """Random weights of 12 latents in 6 dimensions, and 24 samples."""
    key_w, key_x = jax.random.split(random.key(4))
    return BatchTopK(12).init(key_w, 6), jax.random.normal(key_x, (24, 6))


@pytest.mark.parametrize(
    "inner", [BatchTopK(12, k=2), Matryoshka(12, (4, 12), k=2)], ids=["one", "levels"]
)
def test_a_step_of_length_0_changes_nothing(case, inner):
    params, x = case
    refined = RefinedParams(*params, jnp.zeros(1))
    dictionary = IstaStep(inner, eta=0.0)

    def run(dictionary, params):
        memory = dictionary.memory(params)
        step = jax.value_and_grad(dictionary.loss, has_aux=True)
        return jax.jit(step)(params, x, memory, jnp.int32(0))

    (value, outcome), gradient = run(dictionary, refined)
    (expected, other), plain = run(inner, params)
    assert value == expected
    for a, b in zip(outcome.memory.inner, other.memory, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(gradient[:4], plain[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(dictionary.encode(refined, x), inner.encode(params, x))
    np.testing.assert_array_equal(
        dictionary.encode_batch(refined, x), inner.encode_batch(params, x)
    )


def test_a_step_by_hand():
    """x = 2 e1 with a row along e1 and one at 45 degrees; both latents stay on.

    z = (2, sqrt 2), so x_hat = (3, 1) and the residual is (-1, -1): it reads -1 and
    -sqrt 2, of which half is added.
    """
    half = 2**-0.5
    W_dec = jnp.array([[1.0, 0.0], [half, half]])
    zero = jnp.zeros(2)
    params = RefinedParams(W_dec.T, zero, W_dec, zero, jnp.zeros(()), jnp.zeros(1))
    dictionary = IstaStep(BatchTopK(2, k=2), eta=0.5)
    x = jnp.array([[2.0, 0.0]])
    expected = [[1.5, half]]
    np.testing.assert_allclose(dictionary.encode(params, x), expected, rtol=1e-6)
    # The first selection drops the second latent, and nothing is left to explain.
    strict = params._replace(earlier=jnp.array([1.5]))
    np.testing.assert_allclose(dictionary.encode(strict, x), [[2.0, 2 * half]], rtol=1e-6)


def test_two_steps_against_numpy(case):
    params, x = case
    dictionary = IstaStep(BatchTopK(12, k=2), eta=0.3, n_steps=2)
    refined = RefinedParams(*params, jnp.zeros(2))
    W_enc, W_dec, rows = (np.asarray(a, float) for a in (params.W_enc, params.W_dec, x))

    def keep(z):
        z = np.maximum(z, 0)
        return np.where(z >= np.sort(z, axis=None)[-48], z, 0)

    z_pre = rows @ W_enc
    for _ in range(2):
        z_pre = z_pre + 0.3 * (rows - keep(z_pre) @ W_dec) @ W_enc
    np.testing.assert_allclose(
        dictionary.encode_batch(refined, x), keep(z_pre), rtol=1e-5, atol=1e-5
    )


def test_gradients_flow_through_every_selection():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        dictionary = IstaStep(BatchTopK(6, k=1.5, aux=0.0), eta=0.3)
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )
        memory = dictionary.memory(params)

        def loss(params):
            return dictionary.loss(params, x, memory, jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


def test_calibrated_steps_have_k_latents_on(case):
    params, x = case
    dictionary = IstaStep(BatchTopK(12, k=1.75), n_steps=2)
    refined = calibrate(dictionary, RefinedParams(*params, jnp.zeros(2)), x)
    z = dictionary.encode(refined, x)
    assert int((z != 0).sum()) == 42
    # The earlier selections are exact too: the same as over the batch.
    np.testing.assert_allclose(z, dictionary.encode_batch(refined, x), atol=1e-6)


@pytest.mark.parametrize("scaling", ["uniform", "whitening"])
def test_all_thresholds_survive_folding(case, scaling):
    """Trained behind a scaling and folded, every selection makes the same choice."""
    params, x = case
    x = x @ jnp.diag(jnp.linspace(0.5, 2.0, 6)) + 0.3
    scale = scalings.whitening(x) if scaling == "whitening" else scalings.centred(x)
    dictionary = IstaStep(BatchTopK(12, k=2))
    seen = scale.rows(x - scale.shift)
    inner = calibrate(dictionary, RefinedParams(*params, jnp.zeros(1)), seen)
    folded = scalings.fold(inner, scale)
    z = dictionary.encode(inner, seen)
    np.testing.assert_allclose(dictionary.encode(folded, x), z, atol=1e-4)
    x_hat = scale.rows_back(dictionary.decode(inner, z)) + scale.shift
    np.testing.assert_allclose(dictionary.decode(folded, z), x_hat, atol=1e-4)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match=r"n_steps is 0, expected .*; use `inner`"):
        IstaStep(BatchTopK(12), n_steps=0)
