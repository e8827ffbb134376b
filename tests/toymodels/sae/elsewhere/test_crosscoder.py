"""Crosscoders: by hand, on a single source, and which features are whose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import random
from synthetic.firing import Independent
from synthetic.magnitude import Uniform
from synthetic.parts import views
from synthetic.parts.views import Views
from toymodels import testing
from toymodels.sae import BatchTopK, training
from toymodels.sae.elsewhere.batchtopk_crosscoder import (
    BatchTopKCrosscoder,
    ThresholdCrosscoderParams,
)
from toymodels.sae.elsewhere.crosscoder import (
    Crosscoder,
    CrosscoderParams,
    relative_lengths,
)
from toymodels.sae.threshold import calibrate
from toymodels.scores import geometry


def two_sources(key):
    return jax.random.normal(key, (7, 2, 5))


@pytest.mark.parametrize(
    "dictionary", [Crosscoder(12), BatchTopKCrosscoder(12, k=2.5)], ids=["L1", "BatchTopK"]
)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0), two_sources)


@pytest.fixture
def by_hand():
    """Two sources of two dimensions; latent 0 is the first source's, latent 1 is both's."""
    W_dec = jnp.array([[[2.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [3.0, 0.0]]])
    W_enc = jnp.array([[[1.0, 0.0], [0.0, 0.5]], [[0.0, 0.5], [0.0, 0.0]]])
    params = CrosscoderParams(W_enc, jnp.array([0.0, -0.5]), W_dec, jnp.zeros((2, 2)))
    return params, jnp.array([[[2.0, 1.0], [4.0, 1.0]]])


def test_crosscoder_by_hand(by_hand):
    """z = (2, 0.5 + 2 - 0.5) = (2, 2): x_hat = (4, 2), (6, 0); errors 4 + 1 and 4 + 1.
    The penalty is 2 * (2 + 0) + 2 * (1 + 3) = 12, half of it at half of the warm-up.
    """
    params, x = by_hand
    dictionary = Crosscoder(2, sparsity=0.5, warmup_steps=20)
    z = dictionary.encode(params, x)
    np.testing.assert_allclose(z, [[2, 2]])
    np.testing.assert_allclose(dictionary.decode(params, z), [[[4, 2], [6, 0]]])
    value, outcome = dictionary.loss(params, x, (), jnp.int32(10))
    assert float(outcome.metrics["squared_error"]) == 10
    assert float(value) == 10 + 0.5 * 0.5 * 12
    share = relative_lengths(params)
    np.testing.assert_allclose(share, [[1, 0], [0.25, 0.75]])
    nothing = params._replace(W_dec=jnp.zeros((2, 2, 2)))
    np.testing.assert_allclose(relative_lengths(nothing), 0.5)


def test_batchtopk_crosscoder_by_hand(by_hand):
    """Codes times lengths are 2 * 2 and 2 * 4: with k = 1 the second stays, as 2."""
    params, x = by_hand
    params = ThresholdCrosscoderParams(*params, jnp.array(5.0))
    dictionary = BatchTopKCrosscoder(2, k=1)
    np.testing.assert_allclose(dictionary.candidates(params, x), [[4, 8]])
    np.testing.assert_allclose(dictionary.encode_batch(params, x), [[0, 2]])
    np.testing.assert_allclose(dictionary.encode(params, x), [[0, 2]])
    value, outcome = dictionary.loss(params, x, dictionary.memory(params), jnp.int32(0))
    assert float(value) == 4 + 1 + 4 + 1  # x_hat = (0, 2), (6, 0)
    assert float(outcome.memory.threshold) == 8


def test_one_source_of_unit_rows_is_batchtopk():
    """A crosscoder of one source differs from a BatchTopK SAE by b_dec before encoding."""
    x = jax.random.normal(random.key(1), (9, 1, 5))
    dictionary = BatchTopKCrosscoder(12, k=2, n_sources=1)
    params = dictionary.init(random.key(2), 5)
    plain = BatchTopK(12, k=2)
    same = plain.init(random.key(3), 5)._replace(
        W_enc=params.W_enc[0], W_dec=params.W_dec[:, 0]
    )
    np.testing.assert_allclose(
        dictionary.encode_batch(params, x), plain.encode_batch(same, x[:, 0]), atol=1e-6
    )


@pytest.mark.parametrize(
    "dictionary", [Crosscoder(6), BatchTopKCrosscoder(6, k=2, aux=0.0)], ids=["L1", "BTK"]
)
def test_gradients_against_finite_differences(dictionary):
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(4), (9, 2, 5))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(5), 5)
        )
        memory = dictionary.memory(params)

        @jax.jit
        def loss(params):
            return dictionary.loss(params, x, memory, jnp.int32(400))[0]

        # Steps of 1e-5: a pre-activation lies within 2e-4 of the ReLU's kink.
        check_grads(
            jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6, eps=1e-5
        )


@pytest.fixture(scope="module")
def two_models():
    """Ten features of both, four of each alone; 18 in all, in 16 dimensions each."""
    rows = views.shared_and_own(random.key(6), 10, 4, 16)
    return Views(rows, Independent(jnp.full(18, 0.08)), Uniform(0.5, 1.5))


@pytest.mark.parametrize(
    "dictionary",
    [Crosscoder(24, sparsity=0.1), BatchTopKCrosscoder(24, k=1.44)],
    ids=["L1", "BatchTopK"],
)
def test_shared_and_exclusive_features_are_told_apart(dictionary, two_models):
    """The latents matched to features on both sources together, called by their lengths."""
    params = training.fit(random.key(7), dictionary, two_models, 4_000, 256).params
    truth = np.asarray(two_models.directions).transpose(1, 0, 2).reshape(18, 32)
    match = geometry.match(geometry.cosines(params.W_dec.reshape(24, 32), truth))
    assert match.value.mean() > 0.98
    share = np.asarray(relative_lengths(params))[match.latent, 1]
    called = np.where(share < 0.1, "first", np.where(share > 0.9, "second", "both"))
    kind = np.array(["both"] * 10 + ["first"] * 4 + ["second"] * 4)[match.feature]
    np.testing.assert_array_equal(called, kind)
    assert (np.abs(share[kind == "both"] - 0.5) < 0.1).all()


@pytest.mark.slow
def test_only_the_penalty_makes_shared_features_look_exclusive(two_models):
    """24 latents for 18 features, 8 of them exclusive. Under L1 some of the spare latents
    become a shared feature's in one model alone (Minder et al. 2025).
    """

    def exclusive(dictionary, seed):
        params = training.fit(random.key(seed), dictionary, two_models, 4_000, 256).params
        x = two_models.sample(random.key(10), 4_000).x
        alive = (np.asarray(dictionary.encode(params, x)) != 0).any(axis=0)
        share = np.asarray(relative_lengths(params))[:, 1]
        return int((alive & ((share < 0.1) | (share > 0.9))).sum())

    seeds = 11, 12, 13
    batch = [exclusive(BatchTopKCrosscoder(24, k=1.44), seed) for seed in seeds]
    penalised = [exclusive(Crosscoder(24, sparsity=0.1), seed) for seed in seeds]
    assert np.median(batch) == 8
    assert np.median(penalised) > 8


def test_calibration_gives_a_mean_of_k(two_models):
    x = two_models.sample(random.key(8), 400).x
    dictionary = BatchTopKCrosscoder(24, k=1.5)
    params = calibrate(dictionary, dictionary.init(random.key(9), 16), x)
    assert int((dictionary.encode(params, x) > 0).sum()) == 600


@pytest.mark.parametrize(("shape", "came"), [((4, 3, 2), 3), ((4, 2), 4), ((2,), 0)])
def test_other_numbers_of_sources_are_refused(by_hand, shape, came):
    with pytest.raises(ValueError, match=rf"number of sources in x is {came}, expected 2"):
        Crosscoder(2).encode(by_hand[0], np.ones(shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crosscoder(0), "n_latents is 0"),
        (lambda: Crosscoder(4, n_sources=0), "n_sources is 0"),
        (lambda: BatchTopKCrosscoder(4, k=5), "k is 5"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
