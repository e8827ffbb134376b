"""Transcoders: by hand, conformance, and functions of features that they must find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synthetic import SparseFeatures, directions, random
from synthetic.firing import Independent
from synthetic.magnitude import Uniform
from synthetic.parts.paired import Paired, ReLUFunctions
from toymodels import testing
from toymodels.sae import Params, training
from toymodels.sae.elsewhere.transcoder import SkipParams, SkipTranscoder, Transcoder
from toymodels.scores import geometry


def pairs(key):
    """Seven samples from 5 dimensions to 3."""
    key_source, key_target = jax.random.split(key)
    source = jax.random.normal(key_source, (7, 5))
    return Paired(source, jax.random.normal(key_target, (7, 3)))


@pytest.mark.parametrize(
    "dictionary",
    [Transcoder(12, d_target=3), SkipTranscoder(12, k=3, d_target=3)],
    ids=["plain", "skip"],
)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0), pairs)


def test_the_battery_notices_a_target_of_another_width():
    with pytest.raises(AssertionError, match=r"decode gave shape \(7, 5\), expected \(7,"):
        testing.check(Transcoder(12), random.key(0), pairs)


@pytest.fixture
def by_hand():
    """One sample x = (2, 1), y = (1, 4, 0) and two latents that read x_1 and x_2."""
    W_dec = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    params = Params(jnp.eye(2), jnp.array([0.0, 1.0]), W_dec, jnp.array([0.0, 1.0, 0.0]))
    return params, Paired(jnp.array([[2.0, 1.0]]), jnp.array([[1.0, 4.0, 0.0]]))


def test_transcoder_by_hand(by_hand):
    """z = (2, 2), y_hat = (2, 2.2, 1.6): errors 1, 1.8 and 1.6."""
    params, x = by_hand
    dictionary = Transcoder(2, sparsity=0.5, d_target=3)
    np.testing.assert_allclose(dictionary.encode(params, x.source), [[2, 2]])
    value, outcome = dictionary.loss(params, x, (), jnp.int32(0))
    error = 1 + 1.8**2 + 1.6**2
    assert float(value) == pytest.approx(error + 0.5 * 4, rel=1e-6)
    assert float(outcome.metrics["squared_error"]) == pytest.approx(error, rel=1e-6)


def test_skip_transcoder_by_hand(by_hand):
    """x = (1, 1) gives 1 and 2, of which k = 1 keeps the second:
    y_hat = (0, 2.2, 1.6) + (1, 1) W_skip = (0, 2.2, 1.6) + (3, 0, 0).
    """
    params, x = by_hand
    x = x._replace(source=jnp.array([[1.0, 1.0]]))
    W_skip = jnp.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    dictionary = SkipTranscoder(2, k=1, d_target=3)
    predicted = dictionary.predict(SkipParams(*params, W_skip), x.source)
    np.testing.assert_allclose(predicted, [[3, 2.2, 1.6]], rtol=1e-6)
    memory = dictionary.memory(params)
    value, _ = dictionary.loss(SkipParams(*params, W_skip), x, memory, jnp.int32(0))
    assert float(value) == pytest.approx(2**2 + 1.8**2 + 1.6**2, rel=1e-6)


def test_gradients_against_finite_differences():
    with jax.enable_x64(True):
        x = jax.tree.map(lambda leaf: leaf.astype(float), pairs(jax.random.key(1)))
        for dictionary in (Transcoder(6, d_target=3), SkipTranscoder(6, 2, d_target=3)):
            params = dictionary.init(jax.random.key(2), 5)
            leaves, tree = jax.tree.flatten(params)
            noise = jax.random.split(jax.random.key(3), len(leaves))
            # W_dec and W_skip of the skip transcoder start at 0.
            leaves = [
                leaf + jax.random.normal(key, leaf.shape)
                for leaf, key in zip(leaves, noise, strict=True)
            ]
            memory = dictionary.memory(params)

            @jax.jit
            def loss(params, dictionary=dictionary, memory=memory):
                return dictionary.loss(params, x, memory, jnp.int32(0))[0]

            params = jax.tree.unflatten(tree, leaves)
            check_grads(
                jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6
            )


@pytest.fixture(scope="module")
def sparse():
    """12 orthonormal features in 12 dimensions with values in [0.5, 1.5]."""
    rows = directions.orthogonal(random.key(4), 12, 12)
    return SparseFeatures(rows, Independent(jnp.full(12, 0.2)), Uniform(0.5, 1.5))


def pairwise_sums(first, last):
    """Rows that read two neighbouring features each."""
    left = jnp.arange(first, last, 2)
    return jax.nn.one_hot(left, 12) + jax.nn.one_hot(left + 1, 12)


@pytest.fixture(scope="module")
def mixed(sparse):
    """Four thresholds relu(a - 0.5) and four sums relu(a + b - 1), to 9 dimensions."""
    reads = jnp.concatenate([jnp.eye(12)[:4], pairwise_sums(4, 12)])
    threshold = jnp.array([0.5] * 4 + [1.0] * 4)
    rows = directions.random(random.key(5), 8, 9)
    return ReLUFunctions(sparse, reads, rows, threshold)


def test_transcoder_finds_what_is_read_and_what_is_written(mixed):
    """A latent that writes a function's direction must read what the function reads."""
    dictionary = Transcoder(12, sparsity=0.02, d_target=9)
    params = training.fit(random.key(6), dictionary, mixed, 4_000, 256).params
    written = geometry.cosines(params.W_dec, mixed.directions)
    read = geometry.cosines(params.W_enc.T, mixed.read_directions)
    match = geometry.match(written)
    assert match.value.mean() > 0.99
    assert read[match.latent, match.feature].mean() > 0.98
    x, values = mixed.sample(random.key(7), 4_000)
    z = np.asarray(dictionary.encode(params, x.source))[:, match.latent]
    for latent, value in zip(z.T, np.asarray(values)[:, match.feature].T, strict=True):
        assert np.corrcoef(latent, value)[0, 1] > 0.98


@pytest.fixture(scope="module")
def linear_and_not(sparse):
    """All 12 features are passed on, and four sums relu(a + b - 1) are added."""
    reads = jnp.concatenate([jnp.eye(12), pairwise_sums(4, 12)])
    threshold = jnp.array([0.0] * 12 + [1.0] * 4)
    rows = directions.random(random.key(8), 16, 20)
    return ReLUFunctions(sparse, reads, rows, threshold)


def test_skip_transcoder_leaves_the_linear_part_to_its_map(sparse, linear_and_not):
    """Eight latents, two at a time, are enough: features that are passed on need none."""
    world = linear_and_not
    dictionary = SkipTranscoder(8, k=2, d_target=20)
    params = training.fit(random.key(9), dictionary, world, 4_000, 256).params
    written = geometry.cosines(params.W_dec, world.directions[12:])
    match = geometry.match(written)
    read = geometry.cosines(params.W_enc.T, world.read_directions[12:])
    assert match.value.mean() > 0.99
    assert read[match.latent, match.feature].mean() > 0.98
    linear = np.asarray(sparse.directions.T @ world.directions[:12])
    error = np.linalg.norm(params.W_skip - linear) / np.linalg.norm(linear)
    assert error < 0.25  # latents to spare take over some of it


def test_a_function_beside_a_linear_map_is_known_up_to_its_mirror_image(by_hand):
    """relu(u) w = relu(-u) w + u w, with u w in W_skip and the bias."""
    params, _ = by_hand
    params = SkipParams(*params, jnp.zeros((2, 3)))
    mirrored = params._replace(
        W_enc=params.W_enc * jnp.array([1.0, -1.0]),
        b_enc=params.b_enc * jnp.array([1.0, -1.0]),
        b_dec=params.b_dec + params.b_enc[1] * params.W_dec[1],
        W_skip=jnp.outer(params.W_enc[:, 1], params.W_dec[1]),
    )
    dictionary = SkipTranscoder(2, k=2, d_target=3)
    source = jax.random.normal(random.key(10), (20, 2))
    assert (dictionary.encode(mirrored, source) != dictionary.encode(params, source)).any()
    np.testing.assert_allclose(
        dictionary.predict(mirrored, source),
        dictionary.predict(params, source),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transcoder(0), "n_latents is 0"),
        (lambda: Transcoder(4, sparsity=-1.0), "sparsity is -1"),
        (lambda: SkipTranscoder(4, k=5), r"k is 5, expected a number in \[1, 4\]"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_source_of_another_width_is_refused(by_hand):
    with pytest.raises(ValueError, match=r"x has shape \(1, 3\), expected \[\.\.\., 2\]"):
        Transcoder(2, d_target=3).encode(by_hand[0], jnp.ones((1, 3)))
