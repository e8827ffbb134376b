"""The loss on a fixed data set equals the dense one, value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import superposition
from toymodels.superposition import dataset

N = 21


def sparse_rows(n_rows, seed=0):
    generator = np.random.default_rng(seed)
    shape = (n_rows, N)
    rows = (generator.random(shape) < 0.2) * generator.random(shape)
    rows[1] = 0
    return rows.astype(np.float32)


def parameters(n_hidden):
    model = superposition.Bottleneck(N, n_hidden, init_scale=0.7)
    params = model.init(random.key(3))
    return model, params._replace(b=jnp.linspace(-0.3, 0.2, N))


@pytest.mark.parametrize(
    ("n_rows", "n_hidden"),
    [(5, 2), *(pytest.param(*of, marks=pytest.mark.slow) for of in [(70, 2), (64, 3)])],
)
def test_loss_and_gradient_equal_the_dense_ones(n_rows, n_hidden):
    rows = sparse_rows(n_rows)
    model, params = parameters(n_hidden)

    def dense(params):
        return N * model.loss(params, jnp.asarray(rows), (), jnp.int32(0))[0]

    expected = jax.jit(jax.value_and_grad(dense))(params)
    found = jax.jit(jax.value_and_grad(dataset.loss))(params, dataset.from_rows(rows))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


def test_hidden_vectors_are_the_products():
    rows = sparse_rows(9)
    _, params = parameters(2)
    found = dataset.hidden(params, dataset.from_rows(rows))
    np.testing.assert_allclose(found, rows @ np.asarray(params.W), atol=1e-6)


@pytest.mark.slow
def test_members_can_be_stacked():
    data = dataset.from_rows(sparse_rows(70))
    members = [parameters(2)[1], jax.tree.map(lambda x: 0.5 * x, parameters(2)[1])]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)
    together = jax.jit(jax.vmap(dataset.loss, (0, None)))(stacked, data)
    np.testing.assert_allclose(
        together, [dataset.loss(p, data) for p in members], rtol=1e-5
    )


def test_entries_come_in_any_order():
    rows = sparse_rows(9)
    row, feature = np.nonzero(rows)
    order = np.random.default_rng(1).permutation(len(row))
    row, feature = row[order], feature[order]
    shuffled = dataset.from_entries(row, feature, rows[row, feature], rows.shape)
    _, params = parameters(2)
    np.testing.assert_allclose(
        dataset.loss(params, shuffled),
        dataset.loss(params, dataset.from_rows(rows)),
        rtol=1e-6,
    )
    assert (shuffled.n_rows, shuffled.n_features) == rows.shape


def test_rows_of_zeros_cost_what_the_biases_answer():
    _, params = parameters(2)
    answer = jax.nn.relu(params.b)
    empty = dataset.from_rows(np.zeros((4, N), np.float32))
    np.testing.assert_allclose(dataset.loss(params, empty), jnp.sum(answer**2), rtol=1e-5)


@pytest.mark.parametrize(("bad", "says"), [(-0.5, "-0.5"), (np.nan, "nan")])
def test_what_a_relu_cannot_answer_is_refused(bad, says):
    rows = sparse_rows(3)
    rows[0, 0] = bad
    with pytest.raises(ValueError, match=f"features.*{says}"):
        dataset.from_rows(rows)


def test_entries_outside_the_shape_are_refused():
    with pytest.raises(ValueError, match="row is 7, expected a number in"):
        dataset.from_entries(np.array([7]), np.array([0]), np.array([1.0]), (3, N))
