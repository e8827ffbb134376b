"""The feature decoder: its embedding, its start, and its loss on planted networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose

from synthetic import directions, random
from toymodels import superposition

EMBEDDING = superposition.crowded_embedding(random.key(0), 12, 5)


def test_rows_of_the_embedding_have_length_one_and_fill_space_evenly():
    norms = np.linalg.norm(EMBEDDING, axis=1)
    assert_allclose(norms, 1, rtol=1e-6)

    def unevenness(rows):
        size = np.linalg.svd(np.asarray(rows), compute_uv=False)
        return size.max() / size.min()

    keys = jax.random.split(random.key(1), 20)
    crowded = [superposition.crowded_embedding(k, 24, 12) for k in keys]
    independent = [directions.random(k, 24, 12) for k in jax.random.split(random.key(2))]
    # Independent rows, 2 a dimension: (1 + sqrt(1/2)) / (1 - sqrt(1/2)) = 5.8 in the limit.
    assert max(map(unevenness, crowded)) < 3 < min(map(unevenness, independent))


def test_as_many_dimensions_as_features_are_orthogonal():
    E = superposition.crowded_embedding(random.key(3), 6, 6)
    assert_allclose(E @ E.T, np.eye(6), atol=1e-5)


def planted(n=6):
    """Reads orthogonal features off exactly: neuron i is feature i, the last is idle."""
    E = superposition.crowded_embedding(random.key(3), n, n)
    W_in = jnp.concatenate([E.T, jnp.zeros((n, 1))], axis=1)
    model = superposition.FeatureDecoder(E, n + 1)
    return model, superposition.DecoderParams(W_in, jnp.zeros(n + 1), jnp.eye(n + 1, n))


def test_a_planted_decoder_is_exact_and_monosemantic():
    model, params = planted()
    features = jnp.abs(jax.random.normal(random.key(4), (32, 6)))
    assert float(model.loss(params, features, (), jnp.int32(0))[0]) < 1e-10
    responses = model.responses(params)
    assert_allclose(responses, np.eye(6, 7), atol=1e-5)
    assert superposition.monosemantic(responses, 0.99).tolist() == [True] * 6 + [False]


def test_the_loss_is_that_of_its_formula():
    model = superposition.FeatureDecoder(EMBEDDING, 7)
    params = model.init(random.key(5))
    f = np.asarray(jax.random.uniform(random.key(6), (9, 12)), float)
    E, W_in, b, W_out = (np.asarray(x, float) for x in (EMBEDDING, *params))
    expected = np.mean((f - np.maximum(f @ E @ W_in + b, 0) @ W_out) ** 2)
    value = model.loss(params, jnp.asarray(f, jnp.float32), (), jnp.int32(0))[0]
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_gradients():
    with jax.enable_x64(True):
        E, params, f = jax.tree.map(
            lambda x: jnp.asarray(np.asarray(x), jnp.float64),
            (
                EMBEDDING,
                superposition.FeatureDecoder(EMBEDDING, 7).init(random.key(7)),
                jax.random.uniform(random.key(8), (9, 12)),
            ),
        )
        model = superposition.FeatureDecoder(E, 7)
        check_grads(
            jax.jit(lambda p: model.loss(p, f, (), jnp.int32(0))[0]),
            (params,),
            1,
            modes=["rev"],
            eps=1e-6,  # One input lies 6e-5 from a kink.
        )


def test_the_start_is_that_of_linear_layers_with_biases_moved():
    plain = superposition.FeatureDecoder(EMBEDDING, 2_000)
    moved = superposition.FeatureDecoder(EMBEDDING, 2_000, -1.0)
    a, b = plain.init(random.key(9)), moved.init(random.key(9))
    assert_allclose(b.b, a.b - 1, atol=1e-6)
    assert_allclose(b.W_in, a.W_in)
    for leaf, inputs in ((a.W_in, 5), (a.b, 5), (a.W_out, 2_000)):
        # The largest of 2,000 or more uniform draws is within 1 % of the bound.
        assert float(jnp.abs(leaf).max()) == pytest.approx(inputs**-0.5, rel=0.01)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="n_neurons is 0"):
        superposition.FeatureDecoder(EMBEDDING, 0)
    with pytest.raises(ValueError, match="d_model is 9"):
        superposition.crowded_embedding(random.key(10), 8, 9)
