"""Slow topics and fast tokens: laws at each position, and autocorrelation by lag."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, firing, random, testing
from synthetic.hierarchy import Gated
from synthetic.hierarchy.forest import Forest
from synthetic.magnitude import Constant, Uniform
from synthetic.temporal import SinglePositions, TopicsAndTokens, last_renewal

PERSISTENCE = 0.8
RATES = np.array([0.3, 0.2, 0.4, 0.1, 0.5])


def world(persistence=PERSISTENCE, n_positions=6, **others) -> TopicsAndTokens:
    return TopicsAndTokens(
        directions.random(random.key(0), 5, 4),
        firing.Independent(jnp.asarray(RATES[:2])),
        firing.Independent(jnp.asarray(RATES[2:])),
        persistence,
        n_positions,
        **others,
    )


def test_conformance():
    noisy = world(noise=0.1, bias=jnp.arange(4.0))
    testing.check(noisy, random.key(1))
    testing.check(SinglePositions(noisy), random.key(2))


@pytest.fixture(scope="module")
def batch():
    return jax.jit(lambda key: world().sample(key, 40_000))(random.key(3))


def test_every_position_follows_the_laws(batch):
    present = np.asarray(batch.features) != 0
    # Four standard errors of a rate over 40,000 sequences.
    bound = 4 * np.sqrt(RATES * (1 - RATES) / 40_000)
    assert (np.abs(present.mean(0) - RATES) < bound).all()
    size = np.asarray(batch.features)[present]
    assert size.mean() == pytest.approx(0.5, abs=0.003)
    expected = np.asarray(batch.features) @ np.asarray(world().directions)
    np.testing.assert_allclose(batch.x, expected, atol=1e-6)


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_autocorrelation_is_a_power_of_the_persistence(batch, lag):
    """r^lag for topics, 0 for tokens and between any two features."""
    first, later = batch.features[:, 0], batch.features[:, lag]
    found = np.corrcoef(first, later, rowvar=False)[:5, 5:]
    expected = np.diag([PERSISTENCE**lag] * 2 + [0] * 3)
    # Correlations of 40,000 pairs have a standard error below 0.005 x kurtosis of 2.
    np.testing.assert_allclose(found, expected, atol=0.04)
    assert np.abs(found - expected).mean() < 0.01


def test_a_topic_stays_with_its_size_or_is_drawn_anew(batch):
    topics = np.asarray(batch.features)[..., :2]
    same = (topics[:, 1:] == topics[:, :-1]).all(-1)
    # Kept with probability r; else equal only where both draws leave both topics off.
    off = np.prod(1 - RATES[:2])
    expected = PERSISTENCE + (1 - PERSISTENCE) * off**2
    assert same.mean() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("persistence", [0.0, 1.0])
def test_the_ends_of_the_range(persistence):
    topics = np.asarray(world(persistence).sample(random.key(4), 2_000).features)[..., :2]
    varies = np.ptp(topics, axis=1).mean()
    assert varies == 0 if persistence else varies > 0.2


def test_last_renewal_by_hand():
    stays = jnp.array([[True, True, False, True, False], [False, False, True, True, True]])
    np.testing.assert_array_equal(last_renewal(stays), [[0, 0, 2, 2, 4], [0, 1, 1, 1, 1]])


def test_a_hierarchy_of_topics_holds_at_every_position():
    law = Gated(
        firing.Independent(jnp.full(3, 0.5)),
        Forest.regular(3, roots=1, branching=2, depth=1),
    )
    sequences = TopicsAndTokens(
        jnp.eye(4), law, firing.Independent(jnp.full(1, 0.5)), 0.7, 5, Constant()
    )
    features = np.asarray(sequences.sample(random.key(5), 4_000).features)
    assert (features[..., 1:3].max(-1) <= features[..., 0]).all()
    assert (features[..., 1] * features[..., 2]).max() == 0
    # The parent, the child, and of two children that would both fire this one.
    assert features[..., 1].mean() == pytest.approx(0.5 * (0.25 + 0.25 / 2), abs=0.02)


def test_force_a_feature_at_some_positions():
    key, value = random.key(6), jnp.array([0, 0, 2.0, 2.0, 0, 0])
    plain, forced = world().sample(random.key(6), 20), world().do(key, 20, 1, value)
    np.testing.assert_array_equal(forced.features[..., 1], np.tile(value, (20, 1)))
    others = np.array([0, 2, 3, 4])
    np.testing.assert_array_equal(forced.features[..., others], plain.features[..., others])
    moved = np.asarray(value - plain.features[..., 1])[..., None] * world().directions[1]
    np.testing.assert_allclose(forced.x - plain.x, moved, atol=1e-6)


def test_single_positions_have_the_law_of_a_position():
    single = SinglePositions(world(magnitude=Uniform(1, 1)))
    x, features = single.sample(random.key(7), 20_000)
    assert x.shape == (20_000, 4)
    bound = 4 * np.sqrt(RATES * (1 - RATES) / 20_000)
    assert (np.abs(np.asarray(features).mean(0) - RATES) < bound).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": jnp.eye(4)}, "number of rows of directions is 4, expected 5"),
        ({"persistence": 1.2}, "persistence holds 1.2, expected probabilities"),
        ({"n_positions": 0}, "n_positions is 0, expected a number in"),
        ({"noise": -1.0}, "noise is -1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(world(), **change)
