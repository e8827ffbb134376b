"""Edits by hand-made latents, pooled scores, checks, and a run of a few steps."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.othello import interventions
from experiments.othello.interventions import Latents, Settings
from synthetic import random
from toymodels.othello.edits import Outcome
from toymodels.scores import intervals


class Doubling:
    """x is twice the codes."""

    def encode(self, params, x):
        return x / 2

    def decode(self, params, z):
        return 2 * z


class Edited(NamedTuple):
    square: jnp.ndarray
    mine: jnp.ndarray


def test_latents_of_one_disc_give_way_to_those_of_the_other():
    """Two squares; latent i of six is best for property i, latent 4 second for all.

    Of latent 4 the old disc's zero is overwritten by the new disc's level.
    """
    best = jnp.array([[0, 1, 2, 3], [4, 4, 4, 4]])
    level = jnp.arange(24.0).reshape(6, 4)
    latents = Latents(Doubling(), None, best, level)
    cases = Edited(jnp.array([1, 0]), jnp.array([True, False]))
    x = jnp.full((2, 6), 10.0)
    one = interventions.turned(latents, 1, x, cases)
    # Square 1, mine to theirs: latent 1 from 5 to 0, latent 3 from 5 to its level, 15.
    np.testing.assert_allclose(one[0], [0, -10, 0, 20, 0, 0])
    # Square 0, theirs to mine: latent 2 to 0, latent 0 to its level, 0.
    np.testing.assert_allclose(one[1], [-10, 0, -10, 0, 0, 0])
    two = interventions.turned(latents, 2, x, cases)
    np.testing.assert_allclose(two[0], [0, -10, 0, 20, 2 * (19 - 5), 0])


def test_changed_squares_are_pooled():
    outcome = Outcome(*(np.array([row], float) for row in ([1, 3], [0, 2], [1, 3], [1, 1])))
    weights = intervals.resample(random.key(1), 2, 20)
    found = interventions.summary(outcome, weights)
    assert [found[name].value for name in ("kl", "errors", "changed")] == [2, 1, 0.5]


def test_checks_notice_edits_that_fail_and_controls_that_work():
    good = {
        "mean difference": 0.4,
        "probe": 0.6,
        "random direction": 0,
        "another square": 0,
    }
    assert failed(good) == []
    assert len(failed(good | {"probe": 0.45})) == 1
    assert len(failed(good | {"random direction": 0.1, "another square": 0.2})) == 2


def failed(removed):
    checks = interventions.make_checks({"removed_at_best_site": removed})
    return [check.name for check in checks if not check.passed]


@pytest.mark.slow
def test_a_few_steps_give_a_whole_record(tmp_path):
    settings = Settings(
        n_latents=32, steps=8, n_games=400, n_cases=64, n_shown=2, strengths=(1.0, 2.0)
    )
    result = interventions.run(settings, 100, Job(tmp_path, "test"))
    assert result.arrays["probe/kl"].shape == (5, 3)
    tried = ~np.isnan(result.arrays["1 latent/kl"][:, 0])
    assert np.flatnonzero(tried).tolist() == [2]
    untouched = result.metrics["untouched"]
    assert untouched["no edit"]["kl"].value > untouched["true board"]["kl"].value
    assert result.arrays["boards/probe"].shape == (2, 4, 4)
    for board in result.arrays["boards/exact"]:
        assert board.sum() == pytest.approx(1)
