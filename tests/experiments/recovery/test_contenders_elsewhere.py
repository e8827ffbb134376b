"""Contenders with data of their own: the truth, put in by hand, scores 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from experiments.recovery.contenders import Contest
from experiments.recovery.contenders_elsewhere import ELSEWHERE, in_world
from synthetic import random
from synthetic.worlds import standard
from toymodels.scores import streaming, summary
from toymodels.training import ensemble


class Weights(NamedTuple):
    W_enc: Any
    W_dec: Any


@struct.dataclass
class Linear:
    """z is what the weights read above rounding, x_hat what they write."""

    def encode(self, params, x):
        z = x.reshape(len(x), -1) @ params.W_enc
        return jnp.where(z > 1e-3, z, 0)

    def decode(self, params, z):
        return jnp.einsum("bl,l...->b...", z, params.W_dec)


def scores(contender, own, world, params):
    seen = contender.scored_on(own, world)
    found = streaming.member_statistics(
        contender.codes,
        ensemble.stack([(Linear(), params)]),
        seen,
        random.key(1),
        4_096,
        4_096,
        truth=contender.truth,
    )
    rows = np.asarray(params.W_dec).reshape(own.n_features, -1)
    return summary.scores(found[0], rows, contender.directions(seen))


def true_weights(own, world):
    """Orthogonal directions of x read the features; the rows are those of the output."""
    written = own.directions
    if written.ndim == 3:
        read = jnp.concatenate([world.directions, 0 * world.directions], axis=1).T
        return Weights(read, jnp.moveaxis(written, 0, 1))
    return Weights(world.directions.T, written)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_truth_scores_one_and_rows_of_the_source_do_not(name):
    contender, world = ELSEWHERE[name], standard.world("easy")
    own = contender.trained_on(random.key(0), world)
    right = true_weights(own, world)
    found = scores(contender, own, world, right)
    for score in ("mcc_dec", "mcc_act", "feature_f1", "explained_variance"):
        assert found[score] == pytest.approx(1, abs=1e-4), score
    other = right._replace(W_dec=right.W_dec[::-1])
    assert scores(contender, own, world, other)["explained_variance"] < 0


def test_sequences_are_those_of_the_world_one_position_at_a_time():
    world = standard.world("hierarchy")
    own = ELSEWHERE["T-SAE"].trained_on(random.key(0), world)
    features = np.asarray(own.sample(random.key(2), 16_000).features)
    assert features.shape == (16_000, 2, 20)
    rate = (features > 0).mean((0, 1))
    np.testing.assert_allclose(rate, np.repeat([0.2, 0.05, 0.1], [4, 12, 4]), atol=0.02)
    same = (features[:, 1:] == features[:, :-1]).all(-1).mean()
    anew = (features[:, 1:, 0] > 0) & (features[:, :-1, 0] == 0)
    assert 0.5 < same < 0.7  # half stay; two fresh samples may both be empty
    assert anew.mean() == pytest.approx(0.5 * 0.2 * 0.8, abs=0.01)


@pytest.mark.slow
def test_every_contender_fits_its_data():
    """One update of each, so that a wrong shape is seen before the long run."""
    world = standard.world("easy")
    contest = Contest(16, 2.0, 1.6, 100, world.sample(random.key(0), 64).x)
    for name, contender in ELSEWHERE.items():
        own = contender.trained_on(random.key(3), world)
        dictionary = contender.of(world)(contest)
        params = dictionary.init(random.key(4), own.d_model)
        x = own.sample(random.key(5), 32).x
        value, outcome = jax.jit(dictionary.loss)(
            params, x, dictionary.memory(params), jnp.int32(0)
        )
        assert np.isfinite(value), name
        assert float(outcome.metrics["l0"]) > 0, name


def test_in_the_world_nothing_is_changed():
    world = standard.world("easy")
    contender = in_world(lambda contest: contest)
    assert contender.trained_on(random.key(0), world) is world
    assert contender.scored_on(world, world) is world
