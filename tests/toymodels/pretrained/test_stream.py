"""Shipped players as worlds for dictionaries: the third kind of world, by one call."""

import numpy as np
import pytest

from synthetic import random
from toymodels import load, score
from toymodels.sae import ReLU, fit


@pytest.fixture(scope="module")
def player():
    return load("othello_tiny")


def test_a_stream_is_the_residual_after_a_component(player):
    stream = player.stream(layer=1, after="attention", families=("mine",), slots=2)
    assert stream.site == 3
    assert stream.n_features == 16
    batch = stream.sample(random.key(0), 6)
    x, features = stream.streams(random.key(0), 3)
    np.testing.assert_array_equal(batch.x, x[3])
    np.testing.assert_array_equal(batch.features, features)
    assert player.game is player.preset.game


def test_a_maze_has_a_stream_too():
    stream = load("maze_tiny").stream(layer=0)
    batch = stream.sample(random.key(0), 4)
    assert batch.features.shape == (4, stream.n_features) == (4, 12)


def test_a_layer_that_is_not_there_is_refused(player):
    with pytest.raises(ValueError, match="layer is 7, expected a number in"):
        player.stream(layer=7)
    with pytest.raises(ValueError, match="there is no trained model 'othello_huge'"):
        load("othello_huge")


@pytest.mark.slow
def test_a_dictionary_of_a_player_is_scored_by_the_same_call(player):
    stream = player.stream(layer=1, families=("mine", "theirs"))
    sae = fit(random.key(1), ReLU(64, sparsity=0.1, revive=None), stream, 30, 256)
    report = score(sae, stream, random.key(2), 1_024)
    assert 0 < report["f1"] <= 1
    before = report.ceilings["probe of x, model before training"]
    assert report.ceilings["probe of x"]["f1"] > before["f1"]
    assert "random latents, as often on" in str(report)
