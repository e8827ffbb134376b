"""Scores of dictionaries by hand, checks that notice failure, and a run of a few steps."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.othello import planted_directions
from experiments.othello.planted_directions import NAMES, UNPLANTED, UNTRAINED, Settings
from synthetic.base import Batch
from toymodels.sae.base import Params

R = np.random.default_rng(0)
ROWS = jnp.array([[1.0, 0, 0], [0, 1.0, 0]])


class Straight:
    """Codes are x W_enc, without a threshold."""

    def encode(self, params, x):
        return x @ params.W_enc


def test_latents_are_matched_by_cosine_and_followed():
    """Latent 2 has feature 0's row, latent 0 a cosine of 0.6 with feature 1's; latent 1 is
    nothing. Latent 2 reads feature 0 exactly, latent 0 reads minus feature 1.
    """
    features = jnp.asarray(R.integers(0, 2, (50, 2)) * 1.0)
    W_dec = jnp.array([[0, 0.6, 0.8], [0, 0, 1.0], [2.0, 0, 0]])
    W_enc = jnp.array([[0, 0, 1.0], [-1.0, 0, 0], [0, 0, 0]])
    params = Params(W_enc, jnp.zeros(3), W_dec, jnp.zeros(3))
    test = Batch(features @ ROWS, features)
    found = planted_directions.scores_of(Straight(), params, test, ROWS)
    np.testing.assert_allclose(found["cosine"], [1, 0.6], rtol=1e-6)
    assert found["mcc_dec"] == pytest.approx(0.8)
    assert found["correlation"] == pytest.approx(0, abs=1e-6)
    assert found["l0"] == pytest.approx(float(features[:, 0].mean()))


def test_the_regression_finds_planted_rows_below_what_is_not_correlated():
    features = R.integers(0, 2, (4_000, 2)) * 1.0
    x = features @ np.array([[3.0, 0, 0], [0, 0.8, 0.6]]) + R.normal(size=(4_000, 3))
    test = Batch(jnp.asarray(x), jnp.asarray(features))
    found = planted_directions.regression_cosines(test, ROWS)
    # Slopes are known to 2 / sqrt(4,000) = 0.03 in every direction.
    assert found == pytest.approx([1, 0.8], abs=0.08)
    # Var(f) = 1/4 each, and 3 for the noise; rows of length 3 and 1 in x.
    share = planted_directions.planted_share(test, ROWS)
    assert share == pytest.approx(0.5 / (0.25 * 10 + 3), rel=0.05)


def checked(firm=0.9, weak=0.5, alone=0.35, regression=0.97, missed=0.3, cost=0.01):
    metrics = {
        "variants": ["TopK", "ReLU"],
        "floor": 0.3,
        "players": {
            UNTRAINED: {},
            UNPLANTED: {"excess": 0.1},
            "weight 1": {"excess": 0.1 + cost, "missed": 0.5},
            "weight 2": {"excess": 0.1, "missed": missed},
        },
    }
    best = {UNTRAINED: 0.3, UNPLANTED: alone, "weight 1": weak, "weight 2": firm}
    arrays = {
        "weights": np.array([1.0, 2.0]),
        "weight 2/regression": np.full(12, regression),
    }
    for player, value in best.items():
        arrays[f"{player}/TopK/mcc_dec"] = np.array([value, value])
        arrays[f"{player}/ReLU/mcc_dec"] = np.array([0.2, 0.2])
    checks = planted_directions.make_checks(metrics, arrays)
    return [check.name for check in checks if not check.passed]


def test_checks_pass_for_the_goals_and_fail_for_less():
    assert checked() == []
    for change in (
        {"firm": 0.75},
        {"weak": 0.85},
        {"alone": 0.45},
        {"regression": 0.9},
        {"missed": 0.45},
        {"cost": 0.06},
    ):
        assert len(checked(**change)) == 1


@pytest.mark.slow
def test_a_few_steps_give_a_whole_record(tmp_path):
    settings = Settings(
        weights=(0.5, 1.0),
        player_steps=4,
        variants=("TopK",),
        n_seeds=2,
        n_latents=16,
        steps=4,
        n_rows=512,
    )
    result = planted_directions.run(settings, 100, Job(tmp_path, "test"))
    assert list(result.metrics["players"]) == [
        UNTRAINED,
        UNPLANTED,
        "weight 0.5",
        "weight 1",
    ]
    assert result.arrays["weight 1/TopK/cosine"].shape == (2, len(NAMES))
    assert result.arrays["weight 1/regression"].shape == (len(NAMES),)
    assert len(result.table) == 1 + 4 + 1
