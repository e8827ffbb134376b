import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.superposition import absolute_value as experiment
from toymodels import superposition

SETTINGS = experiment.Settings()


def exact_network(n_features=3, gain=3.0):
    sign = np.concatenate([np.eye(n_features), -np.eye(n_features)], axis=1)
    return superposition.UntiedParams(
        jnp.asarray(gain * sign), jnp.asarray(np.abs(sign).T / gain), jnp.zeros(n_features)
    )


def test_in_times_out_does_not_depend_on_the_gain():
    for gain in (0.5, 3.0):
        params = exact_network(gain=gain)
        product = experiment.in_times_out(np.asarray(params.W_in), np.asarray(params.W_out))
        assert_allclose(product.max(axis=0), 1, rtol=1e-6)


def test_answered_needs_both_signs():
    params = exact_network()
    one_sided = params._replace(W_in=params.W_in.at[1, 4].set(0.0))
    assert experiment.answered(params).tolist() == [True] * 3
    assert experiment.answered(one_sided).tolist() == [True, False, True]


def good_metrics():
    n = len(SETTINGS.densities)
    return {
        "density": list(SETTINGS.densities),
        "best_loss": [0.9] * n,
        "baseline": [1.0] * n,
        "best_scale": [0.02] * n,
        "monosemantic_neurons": [40 if p >= 0.3 else 0 for p in SETTINGS.densities],
        "features_answered": [24] * n,
    }


def failed(metrics):
    return [c.name for c in experiment.large_checks(SETTINGS, metrics) if not c.passed]


def test_published_numbers_pass():
    assert failed(good_metrics()) == []
    assert len(experiment.table(good_metrics())) == 1 + len(SETTINGS.densities)


@pytest.mark.parametrize(
    ("name", "value"),
    [("best_loss", 1.1), ("features_answered", 20), ("monosemantic_neurons", 20)],
)
def test_another_number_fails(name, value):
    metrics = good_metrics()
    assert failed(metrics | {name: [value] * len(SETTINGS.densities)})
