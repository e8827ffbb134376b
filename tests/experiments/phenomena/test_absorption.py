"""The set-ups, what the scores say of weights known by hand, checks that notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.phenomena import absorption
from experiments.phenomena.absorption import Settings
from synthetic import random
from toymodels.sae import Params
from toymodels.training import ensemble

HALF = 0.5**0.5
TRUE = jnp.eye(2, 5)


def weights(rows, columns):
    """Rows of the decoder and columns of the encoder, in units of the two features."""
    return Params(
        TRUE.T @ jnp.asarray(columns).T,
        jnp.full(2, -1e-3),
        jnp.asarray(rows) @ TRUE,
        jnp.zeros(5),
    )


@pytest.fixture(scope="module")
def scores():
    """Of a fully absorbed dictionary, of the truth, and of one half way."""
    world = absorption.Setup("hierarchy", 1e-3).make(TRUE)
    members = [
        weights([[1, 0], [HALF, HALF]], [[1, -1], [0, 2 * HALF]]),
        weights([[1, 0], [0, 1]], [[1, 0], [0, 1]]),
        weights([[1, 0], [0.6, 0.8]], [[1, -0.75], [0, 1.25]]),
    ]
    found = ensemble.stack(members), ensemble.stack([world] * 3)
    return absorption.score(random.key(0), found, Settings(n_samples=1 << 12))


def test_scores_of_weights_known_by_hand(scores):
    np.testing.assert_allclose(scores["gap"], [1, 0, 0], atol=1e-6)
    # With both on the last one has z = 0.25 and 1.25: of 1 of the parent, 0.75 is the
    # child's; biases of a thousandth take a little.
    np.testing.assert_allclose(scores["mass"], [1, 0, 0.75], atol=2e-3)
    np.testing.assert_allclose(scores["encoder_ratio"], [-1, 0, -0.75], atol=1e-5)
    np.testing.assert_allclose(scores["decoder_ratio"], [1, 0, 0.75], atol=1e-5)
    np.testing.assert_allclose(scores["decoder"][0], [[1, 0], [HALF, HALF]], atol=1e-5)


def test_a_share_of_the_childs_samples_is_without_the_parent():
    chance = absorption.chance_alone(0.3)
    alone, both = 0.75 * chance, 0.25 * 0.2
    assert alone / (alone + both) == pytest.approx(0.3)


def test_set_ups_are_a_hierarchy_and_its_controls():
    found = {case.name: case for case in absorption.cases(Settings())}
    batch = jax.jit(found["hierarchy"].make(TRUE).sample, static_argnums=1)(
        random.key(1), 4096
    )
    parent, child = np.asarray(batch.features).T
    assert not child[parent == 0].any()
    assert set(np.unique(parent)) == {0.0, 1.0}
    assert found["no penalty"].penalty == 0
    assert found["independent child"].otherwise == absorption.GIVEN
    spread = found["varying values"].make(TRUE).sample(random.key(2), 4096).features
    values = np.asarray(spread[:, 0])[np.asarray(spread[:, 0]) > 0]
    assert values.std() == pytest.approx(0.15, abs=0.02)


def picture(scores):
    """Metrics and arrays with the hierarchy absorbed, values half way, the rest true."""
    order = [0, 1, 1, 2, 1]
    arrays = {name: values[order][:, None] for name, values in scores.items()}
    angle = np.array([[0.3, 0.1]])
    arrays |= {"angle": angle, "angle_exact": angle + 0.01}
    metrics = {
        "cases": [*(case.name for case in absorption.cases(Settings())), absorption.TIED],
        **{
            name: arrays[name].mean(axis=1)
            for name in ("gap", "encoder_ratio", "decoder_ratio")
        },
    }
    return metrics, arrays


def failed(metrics, arrays):
    checks = absorption.make_checks(metrics, arrays)
    return [check.name for check in checks if not check.passed]


def test_the_right_picture_passes(scores):
    assert failed(*picture(scores)) == []


def test_controls_that_absorb_and_a_hierarchy_that_does_not_fail(scores):
    metrics, arrays = picture(scores)
    order = [1, 0, 0, 1, 0]
    swapped = {name: scores[name][order][:, None] for name in scores}
    metrics |= {name: swapped[name].mean(axis=1) for name in ("encoder_ratio", "gap")}
    metrics |= {"decoder_ratio": swapped["decoder_ratio"].mean(axis=1)}
    found = failed(metrics, arrays | swapped)
    assert "hierarchy: gap, lowest" in found
    assert "hierarchy: distance of the child's cosines from 0.7071" in found
    for control in ("no penalty", "independent child", "tied weights"):
        assert f"{control}: gap, highest" in found
