"""T-SAE: the contrast by hand, and slow features in the first prefix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import directions, firing, random
from synthetic.magnitude import Uniform
from synthetic.temporal import TopicsAndTokens
from toymodels import testing
from toymodels.sae import base, training
from toymodels.sae.elsewhere.temporal import TSAE, contrast
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.threshold import calibrate


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
        check_grads(jax.jit(contrast), (z,), 1, "rev", 1e-6, 1e-6)
    silent = jax.jit(jax.grad(contrast))(jnp.zeros((3, 4, 2)))
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


@pytest.fixture(scope="module")
def topics():
    """Sequences of 8: topics (features 0 to 3) hold all along, tokens (4 to 7) do not."""
    law = firing.Independent(firing.constant(4, 0.25))
    return TopicsAndTokens(
        directions.orthogonal(random.key(4), 8, 8), law, law, 1.0, 8, Uniform(0.7, 1.3)
    )


def test_contrast_turns_a_mixed_encoder_to_what_lasts(topics):
    """Two latents that read a topic and a token alike: the topic's share is to grow."""
    batch = topics.sample(random.key(5), 256)

    def between(columns):
        return contrast(jax.nn.relu(batch.features[..., jnp.array([0, 1, 4, 5])] @ columns))

    mixed = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    down = -np.asarray(jax.jit(jax.grad(between))(mixed))
    assert (np.array([down[0, 0], down[1, 1]]) > 0).all()
    assert (np.array([down[2, 0], down[3, 1]]) < 0).all()


@pytest.fixture(scope="module")
def trained(topics):
    """Weights with and without the contrast, from the same starts on the same data."""
    inner = Matryoshka(10, (4, 10), (0.25, 1.0), k=2)
    optimizer = training.adam(3e-3, 1_500)

    @jax.jit
    def run(key, dictionary):
        key_init, key_data = jax.random.split(key)
        return training.advance(
            key_data,
            dictionary,
            training.start(key_init, dictionary, 8, optimizer),
            1_500,
            world=topics,
            optimizer=optimizer,
            batch_size=32,
        )[0].params

    return [
        [run(random.key(seed), TSAE(inner, weight)) for weight in (0.0, 3.0)]
        for seed in range(3)
    ]


def test_what_lasts_moves_to_the_first_prefix(trained, topics):
    def share(params):
        """Of the first prefix's rows, what lies in the span of the topics."""
        inside = np.asarray(params.W_dec[:4]) @ np.asarray(topics.directions[:4]).T
        return np.square(inside).sum() / 4

    shares = np.array([[share(params) for params in pair] for pair in trained])
    # Which feature a latent takes is mostly decided at the start, and one start gives the
    # first prefix the topics by itself; from no start does the contrast take them away.
    gain = shares[:, 1] - shares[:, 0]
    assert (gain > -0.01).all()
    assert gain.mean() > 0.1


def test_thresholds_are_exact_over_batch_and_time(trained, topics):
    dictionary, params = TSAE(Matryoshka(10, (4, 10), k=2)), trained[0][1]
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
