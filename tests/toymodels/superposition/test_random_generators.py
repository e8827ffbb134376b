"""Toy models come out the same under the counter hash and under JAX's own generator."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from synthetic import SparseFeatures, firing, random
from toymodels import superposition

N_SEEDS = 64
DENSITIES = np.array([0.3, 0.05])
SURPRISE = 1e-5


def problem(density):
    law = firing.Independent(jnp.full(5, density))
    return superposition.Bottleneck(5, 2), SparseFeatures.of_features(law)


def trained(key):
    return superposition.train(
        key,
        problem,
        DENSITIES,
        n_seeds=N_SEEDS,
        steps=4_000,
        batch_size=512,
        optimizer=optax.adamw(3e-3, weight_decay=0.01),
    )[0]


@pytest.mark.slow
def test_models_do_not_tell_the_generators_apart():
    """64 models each: losses, norms, biases and structures have one distribution."""
    both = [trained(make_key(0)) for make_key in (random.key, jax.random.key)]
    measures = []
    for params in both:
        loss = superposition.losses(jax.random.key(1), problem, DENSITIES, params, 1 << 18)
        norms = np.sort(superposition.feature_norms(params.W), axis=-1)
        measures.append({"loss": loss, "norm": norms[..., 0], "bias": params.b[..., 0]})
    for name in measures[0]:
        for i in range(len(DENSITIES)):
            hashed, default = measures[0][name][i], measures[1][name][i]
            assert stats.ks_2samp(hashed, default).pvalue > SURPRISE, name
    pentagons = [(m["norm"][1] > 0.9).sum() for m in measures]
    table = [[int(n), N_SEEDS - int(n)] for n in pentagons]
    assert stats.fisher_exact(table).pvalue > SURPRISE
    # The best model is the optimum in both cases.
    best = [m["loss"][1].min() for m in measures]
    assert best[0] == pytest.approx(best[1], rel=0.01)
