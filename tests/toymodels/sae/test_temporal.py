"""T-SAE: the contrast by hand, and slow features in the first prefix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.test_util import check_grads

from synthetic import directions, random
from synthetic.base import Batch
from toymodels import testing
from toymodels.sae import base, training
from toymodels.sae.batchtopk import calibrate
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.temporal import TSAE, contrast


def test_conformance():
    testing.check(TSAE(Matryoshka(12, (3, 12), k=2.5)), random.key(0))


def test_recovers_an_easy_world(easy_world):
    dictionary = TSAE(Matryoshka(12, (4, 12), (0.25, 1.0), k=1.0))
    testing.check_recovers(dictionary, easy_world, random.key(1), 0.99)


def test_contrast_by_hand():
    """Three sequences, each with its own latent on all the time: 1 against 0 and 0."""
    z = jnp.repeat(2 * jnp.eye(3)[:, None], 4, axis=1)
    assert float(contrast(z)) == pytest.approx(np.log(1 + 2 / np.e), rel=1e-6)
    assert float(contrast(z, 0.5)) == pytest.approx(np.log(1 + 2 / np.e**2), rel=1e-6)
    # Codes that are all alike, or all 0, say nothing; one sequence has no others.
    for same in (jnp.ones((3, 4, 2)), jnp.zeros((3, 4, 2))):
        assert float(contrast(same)) == pytest.approx(np.log(3), rel=1e-6)
    assert float(contrast(z[:1])) == 0


def test_contrast_against_numpy():
    z = np.abs(np.random.default_rng(0).normal(size=(4, 3, 5)))
    unit = z / np.linalg.norm(z, axis=-1, keepdims=True)
    total = []
    for t in (1, 2):
        s = np.exp(unit[:, t] @ unit[:, t - 1].T / 0.7)
        for b in range(4):
            total.append(-np.log(s[b, b] / s[b].sum()) - np.log(s[b, b] / s[:, b].sum()))
    found = contrast(jnp.asarray(z, jnp.float32), 0.7)
    assert float(found) == pytest.approx(np.mean(total) / 2, rel=1e-5)


def test_gradients_of_the_contrast():
    with jax.enable_x64(True):
        z = jax.random.uniform(jax.random.key(0), (4, 3, 5)) * jnp.array([1.0, 1, 1, 0, 1])
        check_grads(contrast, (z,), 1, "rev", 1e-6, 1e-6)
    silent = jax.grad(contrast)(jnp.zeros((3, 4, 2)))
    assert np.isfinite(silent).all()


def test_loss_is_matryoshkas_and_the_contrast_of_the_first_prefix():
    inner = Matryoshka(12, (3, 12), k=2)
    params = inner.init(random.key(2), 6)
    x = jax.random.normal(random.key(3), (5, 4, 6))
    memory, step = inner.memory(params), jnp.int32(0)
    value, outcome = jax.jit(TSAE(inner, 0.5).loss)(params, x, memory, step)
    plain, other = jax.jit(inner.loss)(params, x, memory, step)
    first = inner.encode_batch(params, x)[..., :3]
    assert float(value) == pytest.approx(float(plain + 0.5 * contrast(first)), rel=1e-6)
    np.testing.assert_array_equal(outcome.memory.quiet, other.memory.quiet)


@struct.dataclass
class Topics:
    """Sequences of 8: one of four topics all along, and one of four words a position.

    Words are larger than topics, so reconstruction alone puts words first.
    """

    directions: jax.Array
    d_model: int = struct.field(pytree_node=False, default=8)

    def sample(self, key, batch_size):
        key_topic, key_word, key_size = jax.random.split(key, 3)
        topic = jax.random.randint(key_topic, (batch_size, 1), 0, 4)
        word = jax.random.randint(key_word, (batch_size, 8), 4, 8)
        size = jax.random.uniform(key_size, (batch_size, 8, 1), minval=0.8, maxval=1.2)
        features = jax.nn.one_hot(topic, 8) + 1.5 * size * jax.nn.one_hot(word, 8)
        return Batch(features @ self.directions, features)


@pytest.fixture(scope="module")
def topics():
    return Topics(directions.orthogonal(random.key(4), 8, 8))


def first_prefix(dictionary, topics):
    """Weights, and the share of the first prefix's rows that lies in the topics."""
    params, _ = training.fit_dictionary(random.key(5), dictionary, topics, 1_500, 32)
    share = np.square(np.asarray(params.W_dec[:4]) @ np.asarray(topics.directions[:4]).T)
    return params, share.sum() / 4


def test_what_lasts_moves_to_the_first_prefix(topics):
    inner = Matryoshka(10, (4, 10), k=2)
    _, without = first_prefix(TSAE(inner, weight=0.0), topics)
    params, with_contrast = first_prefix(TSAE(inner, weight=2.0), topics)
    assert without < 0.2
    assert with_contrast > 0.8
    # Thresholds are exact over batch and time alike, and rows are encoded one by one.
    dictionary = TSAE(inner)
    x = topics.sample(random.key(6), 50).x
    exact = calibrate(dictionary, params, x)
    z = dictionary.encode(exact, x)
    assert z.shape == (50, 8, 10)
    assert float(base.mean_l0(z)) == 2
    np.testing.assert_allclose(z[3, 5], dictionary.encode(exact, x[3, 5]), atol=1e-5)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: contrast(jnp.ones((3, 1, 2))), "sequences have length 1, expected"),
        (lambda: TSAE(Matryoshka(8, (2, 8)), temperature=0.0), "temperature is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(run, message):
    with pytest.raises(ValueError, match=message):
        run()
