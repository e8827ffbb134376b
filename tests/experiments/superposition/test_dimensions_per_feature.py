"""Dimensions per feature: what is read off planted models, and checks that must fail."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import runner
from experiments.superposition import dimensions_per_feature as experiment
from experiments.superposition.dimensions_per_feature import Settings
from synthetic import SparseFeatures, firing, random
from toymodels import superposition

INVERSE = np.array([1.0, 1.6, 2.5, 4.0, 50.0])


def block_diagonal(*blocks):
    W, row, column = np.zeros((12, 4)), 0, 0
    for block in blocks:
        W[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return W


def polygon(n):
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


DIGON = np.array([[1.0], [-1.0]])
MODELS = (
    OWN := block_diagonal(*[np.eye(1)] * 4),
    TRIANGLES := block_diagonal(polygon(3), polygon(3)),
    DIGONS := block_diagonal(*[DIGON] * 4),
    PENTAGON := block_diagonal(DIGON, DIGON, polygon(5)),
    HEXAGONS := block_diagonal(polygon(6), polygon(6)),
)


def arrays(models=MODELS, vulnerability=None):
    W = np.stack(models)
    D = np.asarray(superposition.dimensionality(jnp.asarray(W, jnp.float32)))
    D_star = W.shape[-1] / (W**2).sum((1, 2))
    geometry = [experiment.describe(*pair) for pair in zip(W, D, strict=True)]
    return {
        "inverse_density": INVERSE,
        "dimensionality": D,
        "component": np.stack([found.component for found in geometry]),
        "dimensions_per_feature": D_star,
        "vulnerability": 2 / D_star - 1 if vulnerability is None else vulnerability,
    }


def failed(found):
    checks = [
        *experiment.curve_checks(Settings(n_features=12, n_hidden=4), found),
        *experiment.geometry_checks(found),
        *experiment.attack_checks(found),
    ]
    return [check.name for check in checks if not check.passed]


def test_shapes_and_components_of_a_planted_model():
    W = PENTAGON
    D = np.asarray(superposition.dimensionality(jnp.asarray(W, jnp.float32)))
    found = experiment.describe(W, D)
    assert found.count == {"pentagon": 1, "digon": 2}
    assert found.component.tolist() == [1, 1, 2, 2, 0, 0, 0, 0, 0, -1, -1, -1]
    assert found.shape.tolist() == ["digon"] * 4 + ["pentagon"] * 5 + [""] * 3


def test_a_feature_among_many_weak_ones_has_no_shape():
    W = np.concatenate([np.eye(1, 4), np.full((11, 4), 0.2)])
    D = np.asarray(superposition.dimensionality(jnp.asarray(W, jnp.float32)))
    assert experiment.describe(W, D).count == {"none": 1}


def test_planted_models_pass():
    assert failed(arrays()) == []


WRONG = {
    "no plateau": (
        (OWN, TRIANGLES, TRIANGLES, PENTAGON, HEXAGONS),
        "share of features with D_i = 1/2, for",
    ),
    "no triangles": (
        (OWN, DIGONS, DIGONS, PENTAGON, HEXAGONS),
        "share of features with D_i = 2/3",
    ),
    "a rising curve": ((OWN, TRIANGLES, DIGONS, PENTAGON, OWN), "largest step"),
    "dense features share": (
        (DIGONS, TRIANGLES, DIGONS, PENTAGON, HEXAGONS),
        "D* at density 1",
    ),
    "hexagons too early": (
        (OWN, TRIANGLES, DIGONS, HEXAGONS, HEXAGONS),
        "share of features in shapes",
    ),
    "an uneven frame": (
        (OWN, TRIANGLES, DIGONS, PENTAGON, block_diagonal(polygon(6)[:4], polygon(6))),
        "smallest sum",
    ),
}


@pytest.mark.parametrize(("models", "name"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_geometry_fails_its_check(models, name):
    assert any(found.startswith(name) for found in failed(arrays(models)))


def test_vulnerability_that_goes_its_own_way_fails():
    assert len(failed(arrays(vulnerability=np.array([1.0, 3.0, 2.9, 1.5, 2.0])))) >= 2


def test_features_of_their_own_are_as_vulnerable_as_the_attack_is_strong():
    settings = Settings(n_features=4, n_hidden=4, n_attacked=64)
    model = superposition.Bottleneck(4, 4)
    world = SparseFeatures.of_features(firing.Independent(jnp.full(4, 0.5)))
    params = superposition.Params(jnp.eye(4), jnp.zeros(4))
    found = jax.jit(
        lambda key: experiment.vulnerability(model, world, params, key, settings)
    )
    assert float(found(random.key(0))) == pytest.approx(1, rel=1e-4)


@pytest.mark.slow
def test_a_tiny_run_leaves_its_record_and_figures(tmp_path):
    tiny = dataclasses.replace(
        experiment.EXPERIMENT.quick,
        n_features=20,
        n_hidden=5,
        inverse_densities=(1.0, 1.6, 2.5, 10.0),
        steps=20,
        batch_size=32,
        n_attacked=16,
    )
    result, record, paths = runner.perform(experiment.EXPERIMENT, tiny, 100, tmp_path)
    assert len(result.table) == 5
    assert len(record.metrics["vulnerability"]) == 4
    for name in ("dimensions_per_feature", "feature_geometry", "adversarial_vulnerability"):
        assert tmp_path / f"{name}.png" in paths
