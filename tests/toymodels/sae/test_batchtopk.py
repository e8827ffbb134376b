"""BatchTopK: by hand, against TopK and NumPy, its thresholds, and what it recovers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.sae import FrozenDecoder, TopK, base, training
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.threshold import (
    Memory,
    ThresholdParams,
    calibrate,
    exact_threshold,
    tracked,
)


def test_conformance():
    testing.check(BatchTopK(12, k=2.5), random.key(0))


@pytest.fixture(scope="module")
def trained(easy_world):
    """12 latents, trained on the easy world, whose samples have one feature on average."""
    dictionary = BatchTopK(12, k=1.0)
    fitted = training.fit(random.key(1), dictionary, easy_world, 1_500, batch_size=256)
    params, history = fitted.params, fitted.history
    return dictionary, params, history


def test_recovers_an_easy_world(trained, easy_world):
    _, params, _ = trained
    cosines = np.asarray(params.W_dec) @ np.asarray(easy_world.directions).T
    assert cosines.max(0).min() > 0.99
    # A float32 root and division: two roundings.
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 1, rtol=3e-7)


@pytest.fixture
def by_hand():
    """Two dimensions, three latents; the second latent points at (-1, 0)."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    bias = jnp.array([0.0, 0.5, -1.0])
    return ThresholdParams(W_dec.T, bias, W_dec, jnp.array([1.0, 0.0]), jnp.float32(2.0))


def test_by_hand(by_hand):
    """Candidates (3, 0, 1.5) and (2, 0, 3): the 2 of 6 largest are 3 and 3."""
    x = jnp.array([[4.0, 2.5], [3.0, 4.0]])
    dictionary = BatchTopK(3, k=1, aux=0.0)
    z = dictionary.encode_batch(by_hand, x)
    np.testing.assert_array_equal(z, [[3.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    # Squared errors: x_hat = (4, 0) and (1, 3).
    memory = Memory(jnp.array([5, 6, 7]), jnp.float32(0))
    value, outcome = dictionary.loss(by_hand, x, memory, jnp.int32(0))
    assert value == (2.5**2 + 2**2 + 1**2) / 2
    assert outcome.metrics["l0"] == 1
    np.testing.assert_array_equal(outcome.memory.quiet, [0, 8, 0])
    assert outcome.memory.threshold == 3
    # Row by row, what exceeds 2: the 2 itself does not.
    np.testing.assert_array_equal(
        dictionary.encode(by_hand, x), [[3.0, 0.0, 0.0], [0.0, 0.0, 3.0]]
    )


def random_case(batch=24, n_latents=12, d_model=6):
    key_w, key_b, key_x = jax.random.split(random.key(2), 3)
    params = BatchTopK(n_latents).init(key_w, d_model)
    params = params._replace(b_dec=0.3 * jax.random.normal(key_b, (d_model,)))
    return params, jax.random.normal(key_x, (batch, d_model))


def test_a_batch_of_one_is_topk():
    params, x = random_case(batch=1)
    plain = base.Params(*params[:4])
    ours, theirs = BatchTopK(12, k=3), TopK(12, k=3)
    np.testing.assert_array_equal(
        ours.encode_batch(params, x), theirs.encode(plain, x), strict=True
    )
    quiet = jnp.where(jnp.arange(12) % 2 == 0, 30_000, 0)

    def value(dictionary, memory):
        return lambda params: dictionary.loss(params, x, memory, jnp.int32(3))[0]

    found = jax.jit(jax.value_and_grad(value(ours, Memory(quiet, jnp.zeros(())))))(params)
    expected = jax.jit(jax.value_and_grad(value(theirs, quiet)))(plain)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=False):
        np.testing.assert_array_equal(a, b)


def kept_by_numpy(params, x, count):
    pre = (np.asarray(x) - params.b_dec) @ np.asarray(params.W_enc) + params.b_enc
    z = np.maximum(pre, 0)
    return np.where(z >= np.sort(z, axis=None)[-count], z, 0)


@pytest.mark.parametrize(("k", "count"), [(1.8, 43), (0.5, 12), (3, 72)])
def test_a_fraction_of_k_counts_over_the_batch(k, count):
    """24 samples: 1.8 a sample are 43.2, so 43."""
    params, x = random_case()
    z = BatchTopK(12, k=k).encode_batch(params, x)
    assert int((z != 0).sum()) == count
    np.testing.assert_allclose(z, kept_by_numpy(params, x, count), rtol=1e-5, atol=1e-6)


def test_batch_and_time_are_one_batch():
    params, x = random_case()
    dictionary = BatchTopK(12, k=2)
    memory = dictionary.memory(params)
    in_threes = x.reshape(8, 3, 6)
    flat, folded = (
        jax.jit(dictionary.loss)(params, data, memory, jnp.int32(0))
        for data in (x, in_threes)
    )
    for a, b in zip(jax.tree.leaves(flat), jax.tree.leaves(folded), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        dictionary.encode_batch(params, in_threes).reshape(24, 12),
        dictionary.encode_batch(params, x),
    )


def test_gradients_against_finite_differences():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        dictionary = BatchTopK(6, k=1.5, aux=0.0)
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )
        memory = dictionary.memory(params)

        def loss(params):
            return dictionary.loss(params, x, memory, jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


def test_aux_reaches_dead_latents_only_and_the_threshold_has_no_gradient():
    params, x = random_case()
    dead = jnp.arange(12) < 4
    memory = Memory(jnp.where(dead, 30_000, 0), jnp.zeros(()))

    def gradient(aux):
        dictionary = BatchTopK(12, k=2, aux=aux)
        return jax.jit(jax.grad(lambda p: dictionary.loss(p, x, memory, jnp.int32(0))[0]))(
            params
        )

    with_aux, without = gradient(1.0), gradient(0.0)
    for name, living in [
        ("W_enc", (slice(None), ~dead)),
        ("b_enc", ~dead),
        ("W_dec", ~dead),
    ]:
        a, b = getattr(with_aux, name), getattr(without, name)
        np.testing.assert_array_equal(a[living], b[living])
    assert float(jnp.abs((with_aux.W_dec - without.W_dec)[dead]).max()) > 1e-3
    assert with_aux.threshold == 0


@pytest.mark.parametrize("k", [1, 2, 2.7])
def test_calibrated_threshold_gives_k_exactly(k):
    params, x = random_case(batch=200)
    dictionary = BatchTopK(12, k=k)
    params = calibrate(dictionary, params, x)
    encode = jax.jit(dictionary.encode)
    assert int((encode(params, x) > 0).sum()) == round(k * 200)
    # Row by row the products are summed in another order; no entry changes sides.
    alone = np.concatenate([dictionary.encode(params, row[None]) for row in x])
    assert (alone > 0).sum() == round(k * 200)


def test_exact_threshold_at_its_edges():
    next_up = np.nextafter(np.float32(1), np.float32(2))
    neighbours = jnp.array([[1.0, next_up, 0.5, 0.25]])
    assert exact_threshold(neighbours, 1) == 1
    assert exact_threshold(neighbours, 2) == 0.75
    assert exact_threshold(neighbours, 4) == 0
    assert exact_threshold(jnp.zeros((2, 3)), 1) == 0
    # Only two of eight are positive, four are wanted.
    assert exact_threshold(jnp.array([[0.0, 2, 0, 0], [0, 0, 1, 0]]), 2) == 0
    # Three tie at the second place: all stay.
    assert exact_threshold(jnp.array([[3.0, 2, 2, 2, 1]]), 2) == 1.5


def test_running_mean_counts_its_first_batches_alike_and_then_forgets():
    rate, threshold = 0.25, jnp.float32(0)
    values = [8.0, 4.0, 3.0, 1.0, 2.0]
    means = []
    for step, value in enumerate(values):
        z = jnp.array([[value, 0.0], [9.0, 0.0]])
        threshold = tracked(threshold, z, rate, jnp.int32(step))
        means.append(float(threshold))
    # Plain means of 1, 2, 3 and 4 values, and then three quarters of the old.
    np.testing.assert_allclose(means, [8, 6, 5, 4, 3.5], rtol=1e-6)
    assert tracked(threshold, jnp.zeros((2, 2)), rate, jnp.int32(9)) == threshold


def test_running_mean_lags_behind_a_rising_threshold():
    """Rising by c a batch, it lies c (1 - rate) / rate below the newest value."""
    rate, rise, threshold = 0.2, 0.5, jnp.float32(0)
    for step in range(60):
        newest = 1 + rise * step
        threshold = tracked(threshold, jnp.full((2, 2), newest), rate, jnp.int32(step))
    # What the start leaves after 60 batches is 0.8^55 of some tens.
    assert float(newest - threshold) == pytest.approx(rise * 0.8 / rate, abs=1e-3)


def test_running_mean_after_training_is_near_the_exact_threshold(trained, easy_world):
    dictionary, params, history = trained
    x = easy_world.sample(random.key(3), 20_000).x
    exact = calibrate(dictionary, params, x)
    l0 = float(base.mean_l0(dictionary.encode(params, x)))
    assert float(base.mean_l0(dictionary.encode(exact, x))) == 1
    # A third of the samples are exactly 0 and tie: a batch may keep a few more than k.
    assert 1 <= history.metrics["l0"][-1] < 1.02
    assert abs(l0 - 1) < 0.1
    # The codes in training have the same mean on a batch.
    assert float(base.mean_l0(dictionary.encode_batch(params, x))) == 1


def test_the_threshold_outlives_a_frozen_decoder(easy_world):
    dictionary = FrozenDecoder(BatchTopK(8, k=2))
    params = training.fit(random.key(4), dictionary, easy_world, 20, 32).params
    assert float(params.threshold) > 0


def test_k_can_fall_during_training():
    params, x = random_case()
    dictionary = BatchTopK(12, k=1.5, k_start=5, anneal_steps=100)
    memory = dictionary.memory(params)
    loss = jax.jit(dictionary.loss)
    l0 = [float(loss(params, x, memory, step)[1].metrics["l0"]) for step in (0, 50, 100)]
    np.testing.assert_allclose(l0, [5, 3.25, 1.5], atol=0.5 / 24)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchTopK(8, k=9), r"k is 9, expected a number in \[0.001, 8\]"),
        (lambda: BatchTopK(8, k=0), "k is 0, expected"),
        (lambda: BatchTopK(0), "n_latents is 0"),
        (lambda: BatchTopK(8, threshold_rate=2.0), "threshold_rate is 2, expected"),
        (lambda: BatchTopK(8, aux=-1.0), "aux is -1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
