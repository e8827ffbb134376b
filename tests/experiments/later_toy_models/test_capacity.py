"""Capacity: kurtosis of the laws, shares, and checks that a wrong result fails."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import runner
from experiments.later_toy_models import capacity
from synthetic import SparseFeatures, firing, random
from toymodels import superposition


@pytest.mark.parametrize("law", capacity.LAWS)
def test_the_kurtosis_of_each_law(law):
    density = 0.5
    independent = firing.Independent(jnp.full(50, density))
    world = SparseFeatures.of_features(independent, capacity.LAWS[law])
    x = np.asarray(world.sample(random.key(0), 20_000).features, float)
    kurtosis = (x**4).mean() / (x**2).mean() ** 2
    expected = capacity.KURTOSIS_TIMES_DENSITY[law] / density
    # A million values, a tenth of a per cent each for x^2 and x^4; the normal's is wider.
    assert kurtosis == pytest.approx(expected, rel=0.02)


def test_share_of_fractions():
    capacities = np.array([[[1.0, 0.5, 0.5, 0.0]], [[0.97, 0.9, 0.1, 0.03]]])
    np.testing.assert_array_equal(capacity.share_of_fractions(capacities), [0.5, 0.5])


def test_a_fall_is_held_against_the_spread_of_seeds():
    """Shares of 1/2 and 3/4 of four features: two of eight seeds change, then all."""
    few, more = [0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 0.5, 1.0]
    mixed = np.array([[more] * 5 + [few] * 3, [more] * 3 + [few] * 5])
    share = np.array([0.75] * 5 + [0.5] * 3)
    error = np.sqrt(2 * share.var(ddof=1) / 8)
    expected = -2 * 0.25 / 8 / error
    assert capacity.least_rise(mixed) == pytest.approx(expected)
    assert capacity.least_rise(np.array([[more] * 8, [few] * 8])) < -100


DENSE, SPARSE = [1.0, 1.0, 0.0], [1.0, 0.5, 0.5]
PAIR = np.array([[1.0], [-1.0]])


def failed(dense=DENSE, sparse=SPARSE, vertices=PAIR):
    capacities = {"uniform": np.array([[dense] * 8, [sparse] * 8])}
    shared = {law: capacity.share_of_fractions(found) for law, found in capacities.items()}
    blocks = superposition.find_polytopes(vertices)
    checks = capacity.make_checks(capacities, shared, blocks, n_hidden=2)
    return [check.name.split(",")[0] for check in checks if not check.passed]


def test_the_published_claims_pass():
    assert failed() == []


WRONG = {
    "a rise": ({"sparse": [0.7, 1.0, 0.3]}, "largest rise from a feature"),
    "the least important held": ({"dense": [1.0, 0.9, 0.1]}, "highest mean capacity"),
    "the most important shared": ({"dense": [0.9, 0.9, 0.0]}, "lowest mean capacity"),
    "less sharing when sparse": ({"dense": SPARSE, "sparse": DENSE}, "least rise"),
    "no rise": ({"dense": [1.0, 0.5, 0.5]}, "least rise of the share of fractions"),
    "few share when sparse": ({"sparse": [1.0, 0.96, 0.5]}, "share of fractions"),
    "an uneven block": (
        {"vertices": np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])},
        "largest distance of a block's capacity",
    ),
    "capacity that is lost": ({"sparse": [1.0, 0.5, 0.3]}, "smallest total"),
}


@pytest.mark.parametrize(("change", "name"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_result_fails(change, name):
    assert any(found.startswith(name) for found in failed(**change))


@pytest.mark.slow
def test_a_tiny_run_leaves_its_record_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "LAWS", {"uniform": capacity.LAWS["uniform"]})
    tiny = dataclasses.replace(
        capacity.EXPERIMENT.quick, densities=(0.6, 0.2), n_seeds=2, steps=4, n_samples=64
    )
    result, record, paths = runner.perform(capacity.EXPERIMENT, tiny, 100, tmp_path)
    assert record.metrics["densities"] == [0.6, 0.2]
    assert len(result.table) == 4
    assert tmp_path / "capacity.png" in paths
