"""Floors and ceilings do what they promise on samples they have not seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, random
from synthetic.firing import Independent
from synthetic.magnitude import Uniform
from toymodels.scores import controls, reconstruction
from toymodels.scores.statistics import measure, on_host

N_FEATURES, D_MODEL, NOISE = 24, 10, 0.2
PROBABILITY = np.linspace(0.02, 0.3, N_FEATURES)
SAMPLES = 8_192


@pytest.fixture(scope="module")
def world() -> SparseFeatures:
    rows = directions.random(random.key(0), N_FEATURES, D_MODEL)
    firing = Independent(jnp.asarray(PROBABILITY, jnp.float32))
    bias = 0.5 * jnp.arange(D_MODEL)
    return SparseFeatures(rows, firing, Uniform(0.0, 1.0), bias=bias, noise=NOISE)


@pytest.fixture(scope="module")
def batches(world):
    sample = jax.jit(lambda key: world.sample(key, SAMPLES))
    return sample(random.key(1)), sample(random.key(2))


@pytest.mark.parametrize("l0", [0.5, 2.0, 8.0, 20.0, 30.0])
def test_random_dictionary_reaches_its_l0(batches, l0):
    """On its own samples by construction, on others within five standard errors.

    Above half the latents too (the last two of five): then the threshold is negative.
    """
    seen, unseen = batches
    control = controls.random_at_l0(random.key(3), seen.x, 32, l0)
    counts = [np.count_nonzero(control.codes(b)[0], axis=1) for b in (seen, unseen)]
    # The quantile of all projections misses by at most one of them, save ties.
    assert abs(counts[0].mean() - l0) < 4 / SAMPLES
    standard_error = np.sqrt(sum(count.var() / SAMPLES for count in counts))
    assert abs(counts[1].mean() - l0) < 5 * standard_error


def test_random_dictionary_is_random_unit_rows_read_by_themselves(batches):
    seen, unseen = batches
    control = controls.random_at_l0(random.key(4), seen.x, 200, 10.0)
    rows = np.asarray(control.W_dec, float)
    # Float32 normalisation.
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    # A mean of 200 random unit rows has length 1 / sqrt(200), within a factor of two.
    assert np.linalg.norm(rows.mean(0)) < 2 / np.sqrt(200)
    center = np.asarray(seen.x, float).mean(0)
    projections = (np.asarray(unseen.x, float) - center) @ rows.T
    z, x_hat = (np.asarray(v) for v in control.codes(unseen))
    on = projections > float(control.threshold)
    # Float32 projections of norm 10; those within 1e-4 of the threshold may differ.
    sure = np.abs(projections - float(control.threshold)) > 1e-4
    np.testing.assert_allclose(z[sure], np.where(on, projections, 0)[sure], atol=1e-4)
    np.testing.assert_allclose(x_hat, z.astype(float) @ rows + center, atol=1e-4)


def test_random_dictionaries_differ_between_keys_alone(batches):
    first, same, other = (
        controls.random_at_l0(random.key(k), batches[0].x[:512], 8, 2.0) for k in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.W_dec, same.W_dec)
    assert np.abs(first.W_dec - other.W_dec).max() > 0.1


def test_oracle_explains_all_but_the_noise(world, batches):
    """Its explained variance is the ceiling 1 - tr Cov(noise) / tr Cov(x).

    tr Cov(x) = sum_j Var(a_j) + d s^2 with a_j = U(0, 1) present with probability p:
    Var(a_j) = p/3 - p^2/4. (The directions have length 1.)
    """
    example, batch = batches
    noise = D_MODEL * NOISE**2
    signal = np.sum(PROBABILITY / 3 - PROBABILITY**2 / 4)
    ceiling = 1 - noise / (signal + noise)
    oracle = controls.oracle(world, example)
    z, x_hat = oracle.codes(batch)
    found = reconstruction.explained_variance(on_host(jax.jit(measure)(batch, z, x_hat)))
    # Five standard errors of the ratio of means, and the error of a bias taken from 8,192
    # samples, which adds 1/8192 of the noise.
    x, x_hat = np.asarray(batch.x, float), np.asarray(x_hat, float)
    lost, total = ((x - x_hat) ** 2).sum(1), ((x - x.mean(0)) ** 2).sum(1)
    deviation = (lost - lost.mean() / total.mean() * total).std() / total.mean()
    bound = 5 * deviation / np.sqrt(SAMPLES) + noise / (signal + noise) / SAMPLES
    assert bound < 0.02
    assert abs(found - ceiling) < bound


def test_oracle_has_the_true_codes_and_the_true_bias(world, batches):
    example, batch = batches
    oracle = controls.oracle(world, example)
    z, x_hat = oracle.codes(batch)
    np.testing.assert_array_equal(z, batch.features)
    # A mean of noise 0.2 over 8,192 samples: five standard errors; float32 adds 1e-6.
    assert np.abs(oracle.bias - world.bias).max() < 5 * NOISE / np.sqrt(SAMPLES)
    expected = np.asarray(z, float) @ np.asarray(world.directions, float)
    np.testing.assert_allclose(x_hat, expected + np.asarray(oracle.bias), atol=1e-5)
