import numpy as np
import pytest

from experiments.superposition import privileged_basis as experiment

SETTINGS = experiment.Settings()
IMPORTANCE = SETTINGS.importance ** np.arange(SETTINGS.n_features)


def published_metrics():
    """What a perfect run would measure at the default densities."""
    n, losses = len(SETTINGS.densities), []
    for density in SETTINGS.densities:
        exact = experiment.loss_without_superposition(density, IMPORTANCE, 5)
        losses.append(experiment.BEST_OF_40.get(density, exact))
    counts = [experiment.PUBLISHED.get(p, (10, 0)) for p in SETTINGS.densities]
    return {
        "density": list(SETTINGS.densities),
        "best_loss": losses,
        "median_loss": losses,
        "features_held": [held for held, _ in counts],
        "monosemantic_neurons": [alone for _, alone in counts],
        "features_per_neuron": [[1] * 5] * n,
        "share_with_same_counts": [0.05] * n,
    }


def failed(metrics):
    checks = experiment.make_checks(SETTINGS, IMPORTANCE, metrics)
    return [check.name for check in checks if not check.passed]


def test_published_numbers_pass():
    assert failed(published_metrics()) == []


@pytest.mark.parametrize("name", ["features_held", "monosemantic_neurons", "best_loss"])
def test_another_number_fails(name):
    metrics = published_metrics()
    metrics[name] = [1.2 * value + 1 for value in metrics[name]]
    assert len(failed(metrics)) >= 4


def test_loss_without_superposition_by_hand():
    # Two features, one neuron: the variance of the second, p/3 - p^2/4 = 1/12 at p = 1.
    loss = experiment.loss_without_superposition(1.0, np.array([0.5, 1.0]), 1)
    assert loss == pytest.approx(0.5 / 12 / 2)


def test_table_has_a_line_per_density():
    assert len(experiment.table(published_metrics())) == 1 + len(SETTINGS.densities)
