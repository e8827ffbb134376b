"""The light pass gives what the full one gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, random
from toymodels.scores import streaming, summary, wide
from toymodels.scores.controls import RandomDictionary
from toymodels.scores.statistics import measure, merge_all
from toymodels.training import ensemble

N, D, M = 12, 7, 9
KEY = random.key(5)


@pytest.fixture(scope="module")
def world():
    rows = directions.random(random.key(0), N, D)
    rate = firing.Independent(firing.linear(N, 0.3, 0.02))
    return SparseFeatures(rows, rate, bias=3.0)


@pytest.fixture(scope="module")
def members(world):
    """Three dictionaries whose codes depend on each sample alone; one has a dead latent."""
    rows = [directions.random(random.key(i), M, D) for i in (1, 2, 3)]
    found = [
        RandomDictionary(W, jnp.full(M, 0.1 * i).at[4].set(99.0 if i == 1 else 0.3), 3.0)
        for i, W in enumerate(rows)
    ]
    return ensemble.stack(found)


def codes(member, batch):
    return member.codes(batch)


def decoders(members, world):
    return [wide.of_decoder(W, world.directions) for W in members.W_dec]


def light(members, world, centre):
    """100 samples, rounded up to two blocks of 64."""
    found = decoders(members, world)
    partners = ensemble.stack([one.partners for one in found])
    sums = wide.member_sums(
        codes, members, partners, world, KEY, 100, jnp.full(D, centre), 64
    )
    return [wide.scores(*pair) for pair in zip(found, sums, strict=True)], sums


@pytest.fixture(scope="module")
def measured(members, world):
    return light(members, world, 3.0)


@pytest.fixture(scope="module")
def batches(world):
    """The same samples: block t is drawn with its own key."""
    keys = [jax.random.fold_in(KEY, t) for t in range(2)]
    return [streaming.sample(world, key, 64) for key in keys]


def test_scores_are_those_of_the_full_tables(measured, members, batches, world):
    full = jax.jit(lambda member, batch: measure(batch, *member.codes(batch)))
    for i, scores in enumerate(measured[0]):
        member = jax.tree.map(lambda leaf: leaf[i], members)  # noqa: B023
        statistics = merge_all(full(member, batch) for batch in batches)
        expected = summary.scores(statistics, member.W_dec, world.directions)
        # Float32 sums over 64 samples, about their mean and about 3.
        shared = {name: expected[name] for name in scores}
        assert scores == pytest.approx(shared, abs=2e-5)


def test_blocks_add_up(measured, batches):
    present = sum(np.count_nonzero(batch.features, axis=0) for batch in batches)
    for one in measured[1]:
        assert one.n == 128
        np.testing.assert_array_equal(one.a_on, present)


def test_the_centre_does_not_matter(measured, members, world):
    again, _ = light(members, world, 2.0)
    for a, b in zip(measured[0], again, strict=True):
        assert b == pytest.approx(a, abs=1e-4)


def test_a_dead_latent_counts(measured):
    assert [row["dead"] for row in measured[0]] == pytest.approx([0, 1 / M, 0])
