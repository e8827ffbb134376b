"""Figures of the experiments with neurons, on made-up arrays."""

import numpy as np
import pytest

from figures.later_toy_models import compressed_computation, engineering_monosemanticity
from figures.superposition import absolute_value_neurons, asymmetric_motif, neuron_codes

RNG = np.random.default_rng(0)


def test_neuron_codes(check_figure):
    W = np.stack([np.eye(4, 3), RNG.normal(size=(4, 3))])
    arrays = {
        "density": np.array([0.75, 0.06]),
        "W": W,
        "features_per_neuron": np.array([[1, 1, 1], [4, 3, 1]]),
        "loss": RNG.uniform(1, 2, size=(2, 20)),
    }
    check_figure(neuron_codes, {}, arrays)


def test_absolute_value_neurons(check_figure):
    weights = np.stack([np.eye(5, 4), RNG.uniform(size=(5, 4))])
    arrays = {
        "density": np.array([0.3, 0.01]),
        "init_scale": np.array([0.02, 0.002]),
        "loss": RNG.uniform(1, 2, size=(2, 2, 3)),
        "baseline": np.array([1.0, 2.0]),
        "weights": weights,
        "share": weights.max(axis=1) / weights.sum(axis=1),
        "answered": RNG.uniform(size=(2, 5)) > 0.5,
    }
    check_figure(absolute_value_neurons, {}, arrays)


@pytest.mark.parametrize("motif", [(0, 0, 1, 1), (-1, -1, -1, -1)])
def test_asymmetric_motif(check_figure, motif):
    arrays = {
        "W_in": RNG.normal(size=(4, 3)),
        "W_out": RNG.normal(size=(3, 4)),
        "motif": np.array(motif),
    }
    for suffix, n in (("", 2), ("_control", 1)):
        arrays[f"density{suffix}"] = np.linspace(0.3, 0.1, n)
        arrays[f"ratio{suffix}"] = RNG.uniform(1, 2, size=(n, 8))
        arrays[f"has_motif{suffix}"] = RNG.uniform(size=(n, 8)) > 0.5
    check_figure(asymmetric_motif, {}, arrays)


def test_compressed_computation(check_figure):
    arrays = {
        "noise": np.array([0.0, 0.03]),
        "loss": RNG.uniform(0.05, 0.1, size=(3, 2)),
        "transplanted": RNG.uniform(0.08, 0.1, size=(3, 2)),
        "embedding_noise": np.array(0.032),
        "naive": np.array(1 / 12),
        "served": RNG.uniform(size=(3, 2, 6)),
    }
    check_figure(compressed_computation, {}, arrays)


def test_engineering_monosemanticity(check_figure):
    arrays = {
        "rate": np.array([0.003, 0.01, 0.03]),
        "step": np.arange(1, 6),
        "neurons": np.array([4, 8]),
        "history": RNG.uniform(size=(5, 2, 3, 2)),
        "responses": np.maximum(RNG.normal(size=(2, 6, 8)), 0),
        "bias": RNG.normal(size=(2, 3, 2)),
    }
    for name, n in (("", 3), ("_of_neurons", 2)):
        arrays["loss" + name] = RNG.uniform(size=(2, n, 2))
        arrays["per_feature" + name] = RNG.uniform(size=(2, n, 2))
    settings = {"n_neurons": 8, "rate": 0.01}
    check_figure(engineering_monosemanticity, {"settings": settings}, arrays)


def test_balancing_keeps_the_network():
    W_in, W_out = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4))
    A, B = asymmetric_motif.balanced(W_in, W_out)
    np.testing.assert_allclose(np.abs(A).max(axis=0), np.abs(B).max(axis=1))
    np.testing.assert_allclose(np.maximum(A, 0) @ B, np.maximum(W_in, 0) @ W_out)
