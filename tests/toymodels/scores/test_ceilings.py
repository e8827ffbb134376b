"""What the true directions reach with codes found from x: order and exact cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, random
from synthetic.firing import Independent
from synthetic.magnitude import Uniform
from toymodels.scores import ceilings, reconstruction
from toymodels.scores.statistics import measure, on_host

SAMPLES = 512


@pytest.fixture(scope="module")
def leaning():
    """30 features in 20 dimensions, three present on average, little noise, a bias."""
    rows = directions.random(random.key(0), 30, 20)
    firing = Independent(jnp.full(30, 0.1))
    return SparseFeatures(rows, firing, Uniform(0.5, 1.5), bias=0.7, noise=0.02)


@pytest.fixture(scope="module")
def reached(leaning):
    """The codes of each ceiling and its explained variance, on new samples."""
    sample = jax.jit(lambda key: leaning.sample(key, SAMPLES))
    example, batch = sample(random.key(1)), sample(random.key(2))
    compiled = jax.jit(lambda ceiling, batch: ceiling.codes(batch))
    found = {}
    for name, ceiling in ceilings.of_world(leaning, example).items():
        z, x_hat = compiled(ceiling, batch)
        explained = reconstruction.explained_variance(
            on_host(jax.jit(measure)(batch, z, x_hat))
        )
        found[name] = np.asarray(z, float), explained
    return batch, found


def test_least_squares_keeps_to_the_support_and_beats_the_true_codes(leaning, reached):
    """It fits the noise on the support as well, so no codes there explain more."""
    batch, found = reached
    z, explained = found["least squares"]
    absent = np.asarray(batch.features) == 0
    assert not z[absent].any()
    true = batch.features @ leaning.directions + leaning.bias
    statistics = on_host(jax.jit(measure)(batch, batch.features, true))
    assert explained > reconstruction.explained_variance(statistics)
    # The noise of 0.02 in a coefficient; rows that lean at most triple it.
    assert np.abs(z - batch.features).max() < 0.02 * 3 * 5


def test_omp_takes_as_many_as_are_present(reached):
    batch, found = reached
    count = (np.asarray(batch.features) != 0).sum(axis=1)
    taken = (found["OMP"][0] != 0).sum(axis=1)
    assert (taken <= count).all()
    assert taken.mean() > 0.95 * count.mean()


def test_fista_has_about_the_true_l0(reached):
    """The eight penalties are a factor of two apart: within 20 % here."""
    batch, found = reached
    true = np.count_nonzero(batch.features)
    assert np.count_nonzero(found["FISTA"][0]) == pytest.approx(true, rel=0.2)
    assert (found["FISTA"][0] >= 0).all()


def test_knowing_more_explains_more(reached):
    explained = {name: value for name, (_, value) in reached[1].items()}
    assert 0.7 < explained["FISTA"] < explained["least squares"] <= 1
    assert 0.7 < explained["OMP"] < explained["least squares"]
