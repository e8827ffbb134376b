"""Known defects of JAX and XLA in operations that this library uses, and where they bite.

Each probe is the smallest program that its report gives, held against NumPy on the CPU. A
version on which it is known to fail is an expected failure, with its reason; on any other
version a failure is news. Below the probes stand the library's own uses of the operations,
which must be right on every version.

Not probed, for they give no wrong numbers: small updates of a large array in a loop copy
it whole from 0.11.1 on (jax#40101; ours are whole batches, or of arrays of a few numbers),
float32 scatter-add is slow on GPUs with 0.10.2 to 0.11.0 (xla#46225), and products of
arrays of rank 7 and more crash 0.10.2 and 0.11.0 (jax#39257; ours have at most 5).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from synthetic import directions, random
from synthetic.base import Batch
from toymodels.sae import base
from toymodels.scores import statistics
from toymodels.sparse_coding.matching_pursuit import matching_pursuit
from toymodels.superposition import Bottleneck, HiddenReLU

JAX = jax.__version_info__[:3]
SPLIT = 32_769  # one row more than what is summed in one part


def product_and_sum():
    """jax#39103: the last row of a product, squared and summed in the same loop, is that of
    another row when there are more than 32,768.
    """
    matrix = np.eye(3, dtype=np.float32)
    x = np.zeros((SPLIT, 3), np.float32)
    x[:, 0] = np.arange(SPLIT)

    def f(x):
        return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(x)

    return jax.jit(f)(x), np.square(x).sum(-1)


def shifted_update():
    """xla#49176: an update in place by a shifted part of the same array, then reshaped,
    reads what it has written.
    """

    def f(x):
        moved = x + 1
        return moved.at[1:].set(moved[:-1]).reshape(1, *x.shape)

    x = np.arange(128, dtype=np.int32).reshape(8, 16)
    return jax.jit(f)(x), np.concatenate([x[:1], x[:-1]])[None] + 1


def slice_of_a_roll():
    """xla#49121: a slice that begins beyond the end, of a roll, is not moved back."""

    def f(x, shift, start):
        return lax.dynamic_slice(jnp.roll(x, shift), [start], [4])

    x = np.arange(9, dtype=np.int32)
    return jax.jit(f)(x, jnp.int32(4), jnp.int32(12)), np.roll(x, 4)[5:9]


def gather_of_constants():
    """xla#34260: a gather from a broadcast constant is folded in another order."""
    constant = jnp.broadcast_to(jnp.arange(5), (2, 5))
    return jax.jit(lambda: constant[:, jnp.arange(5)] + 1)(), [[1, 2, 3, 4, 5]] * 2


def ranks(double=False):
    """jax#34096: the order of an order does not compile with 64 bits, or is another one."""
    x = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    with jax.enable_x64(double):
        found = np.asarray(jax.jit(lambda x: jnp.argsort(jnp.argsort(x)))(x))
    return found, np.argsort(np.argsort(x))


def ranks_of_64_bits():
    """As `ranks`, with 64 bits on."""
    return ranks(double=True)


# The probe, and whether it is known to fail on this version.
PROBES = {
    product_and_sum: JAX == (0, 10, 2),
    shifted_update: (0, 10, 2) <= JAX <= (0, 12, 0),
    slice_of_a_roll: JAX == (0, 10, 2),
    gather_of_constants: False,
    ranks: False,
    ranks_of_64_bits: False,
}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_the_defect_does_not_bite(probe):
    if jax.default_backend() != "cpu":
        pytest.skip("the reports are of the CPU")
    found, expected = probe()
    if not np.array_equal(found, expected):
        if PROBES[probe]:
            pytest.xfail(f"JAX {jax.__version__}, {' '.join(probe.__doc__.split())}")
        raise AssertionError(f"{probe.__doc__} on JAX {jax.__version__}: {found}")


@pytest.fixture(scope="module")
def many_rows():
    """More rows than are summed in one part, of the width of `product_and_sum`."""
    return np.asarray(jax.random.normal(random.key(0), (SPLIT, 3), jnp.float32))


def test_errors_of_many_rows_are_those_of_numpy(many_rows):
    """Next to `product_and_sum`: the library multiplies rows by matrices, not by rows."""
    rows = np.asarray(directions.orthogonal(random.key(1), 3, 3))
    x = many_rows

    @jax.jit
    def errors(x, rows):
        z = jax.nn.relu(x @ rows.T)
        return jnp.sum(jnp.square(x - base.combine(z, rows)), axis=-1)

    z = np.maximum(x @ rows.T, 0)
    expected = np.square(x - z @ rows).sum(-1)
    np.testing.assert_allclose(errors(x, rows), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", [Bottleneck(3, 3), HiddenReLU(3, 3)], ids=repr)
def test_losses_of_many_samples_are_those_of_numpy(model, many_rows):
    """By the gradient with respect to the samples, in which every row is seen alone."""
    params = model.init(random.key(2))
    features = np.abs(many_rows)

    @jax.jit
    def pull(features):
        return jax.grad(lambda f: model.loss(params, f, (), jnp.int32(0))[0])(features)

    W, b = (np.asarray(part, np.float64) for part in params)
    hidden = features @ W
    on = hidden > 0 if isinstance(model, HiddenReLU) else np.ones_like(hidden)
    out = np.maximum((hidden * on) @ W.T + b, 0)
    left = 2 * (features - out)
    expected = left - (left * (out > 0)) @ W * on @ W.T
    np.testing.assert_allclose(
        pull(features) * features.size, expected, rtol=1e-3, atol=1e-3
    )


def test_sums_of_a_long_block_are_those_of_numpy(many_rows):
    x = many_rows
    found = statistics.on_host(
        jax.jit(statistics.measure)(Batch(x, np.maximum(x, 0)), x[:, ::-1], 0.5 * x)
    )
    centred = np.maximum(x, 0) - np.maximum(x, 0).mean(0, dtype=np.float64)
    other = x[:, ::-1] - x[:, ::-1].mean(0, dtype=np.float64)
    np.testing.assert_allclose(found.za, other.T @ centred, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(
        found.error, 0.25 * np.square(x, dtype=np.float64).sum(), rtol=1e-5
    )


def test_steps_written_into_a_table_are_those_of_a_plain_loop():
    """Next to `shifted_update`: matching pursuit writes each step into a row of a table."""
    atoms = np.asarray(directions.random(random.key(3), 12, 5))
    x = np.asarray(jax.random.normal(random.key(4), (9, 5), jnp.float32))
    expected = np.zeros((9, 12))
    for sample, left in enumerate(x.astype(np.float64)):
        for _ in range(4):
            i = np.argmax(atoms @ left)
            size = max(atoms[i] @ left, 0)
            expected[sample, i] += size
            left = left - size * atoms[i]
    found = jax.jit(matching_pursuit)(x, atoms, jnp.int32(4))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
