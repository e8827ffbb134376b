"""Engineering monosemanticity: the rate's course, the decay, and checks that must fail."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import runner
from experiments.later_toy_models import engineering_monosemanticity as experiment
from synthetic import random
from toymodels import superposition

TINY = dataclasses.replace(
    experiment.EXPERIMENT.quick,
    n_features=6,
    d_model=3,
    n_neurons=8,
    rates=(0.001, 0.01),
    neurons=(4, 8),
    steps=64,
    batch_size=32,
    n_samples=1 << 12,
)


def test_the_rate_goes_down_and_up_again():
    found = experiment.up_and_down(jnp.array([0, 256, 512, 768, 1024, 1536]))
    np.testing.assert_allclose(found, [1, 0.5, 0, 0.5, 1, 0], atol=1e-5)


def test_monosemantic_neurons_per_feature():
    E = jnp.eye(3)
    model = superposition.FeatureDecoder(E, 4)
    # One feature; two, of which the second is faint; two; none.
    W_in = jnp.array([[1.0, 1, 1, -1], [0, 5e-4, 1, -1], [-1, 0, 0, -1]])
    params = superposition.DecoderParams(W_in, jnp.zeros(4), jnp.zeros((4, 3)))
    stacked = jax.tree.map(lambda x: x[None], params)
    assert experiment.per_feature(model, stacked).tolist() == pytest.approx([2 / 3])


def test_the_loss_of_an_answer_of_zero_is_one():
    model = superposition.FeatureDecoder(jnp.eye(6), 4)
    params = jax.tree.map(jnp.zeros_like, model.init(random.key(0)))
    stacked = jax.tree.map(lambda x: x[None], params)
    assert experiment.losses(random.key(1), model, stacked, TINY) == pytest.approx(1)


def arrays(**changes):
    found = {
        "per_feature": [[0.1, 0.3, 0.6], [0.5, 0.7, 0.8]],
        "loss": [[0.2, 0.15, 0.15], [0.2, 0.15, 0.16]],
        "bias": [[0.0, -0.1, -0.3], [-0.25, -0.4, -0.5]],
        "per_feature_of_neurons": [[0.0, 0.1], [0.1, 0.4]],
        "loss_of_neurons": [[0.4, 0.2], [0.4, 0.2]],
    } | changes
    stacked = {name: np.array(value)[..., None] for name, value in found.items()}
    return stacked | {"rate": np.array([0.003, 0.01, 0.03]), "neurons": np.array([4, 8])}


def failed(found):
    checks = experiment.make_checks(found, 1)
    return [check.name.split(",")[0] for check in checks if not check.passed]


def test_the_published_findings_pass():
    assert failed(arrays()) == []


WRONG = {
    "no difference between rates": (
        {"per_feature": [[0.3, 0.31, 0.32], [0.5, 0.7, 0.8]]},
        "range of monosemantic neurons",
    ),
    "a cost in loss": (
        {"loss": [[0.2, 0.15, 0.15], [0.2, 0.17, 0.16]]},
        "loss of the negative start",
    ),
    "fewer monosemantic neurons": (
        {"per_feature": [[0.1, 0.3, 0.6], [0.5, 0.2, 0.8]]},
        "monosemantic neurons per feature",
    ),
    "positive biases": (
        {"bias": [[-0.5, -0.4, 0.3], [0.1, 0.4, 0.5]]},
        "correlation of monosemantic neurons",
    ),
    "more neurons do not help": (
        {"per_feature_of_neurons": [[0.0, 0.1], [0.4, 0.1]]},
        "monosemantic neurons per feature",
    ),
}


@pytest.mark.parametrize(("change", "name"), WRONG.values(), ids=WRONG.keys())
def test_another_finding_fails(change, name):
    assert [found.startswith(name) for found in failed(arrays(**change))] == [True]


@pytest.mark.slow
def test_a_tiny_run_leaves_its_record_and_figure(tmp_path):
    result, record, paths = runner.perform(experiment.EXPERIMENT, TINY, 100, tmp_path)
    assert np.shape(record.metrics["per_feature"]) == (2, 2, 1)
    assert np.shape(record.metrics["loss_of_neurons"]) == (2, 2, 1)
    assert len(result.table) == 11
    assert tmp_path / "engineering_monosemanticity.png" in paths
