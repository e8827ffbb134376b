"""Shipped weights: the same model back, or one sentence that says what is wrong."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import pretrained
from toymodels.othello import presets


@pytest.fixture(scope="module")
def model():
    return presets.tiny().init(random.key(3))


@pytest.fixture
def folder(tmp_path, model):
    pretrained.save("othello_tiny", model, {"seed": 3}, tmp_path)
    return tmp_path


def test_the_same_model_comes_back(folder, model):
    loaded = pretrained.load("othello_tiny", folder)
    for mine, theirs in zip(
        jax.tree.leaves(model), jax.tree.leaves(loaded.model), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    tokens = np.array([[0, 1, 2]])
    np.testing.assert_array_equal(model(tokens).logits, loaded.model(tokens).logits)
    assert loaded.preset == presets.tiny()
    assert loaded.card["seed"] == 3
    assert {path.name for path in folder.iterdir()} == {
        "othello_tiny.json",
        "othello_tiny.safetensors",
    }


def test_half_precision_comes_back_as_it_was_rounded(tmp_path, model):
    pretrained.save("othello_tiny", model, {}, tmp_path, np.float16)
    loaded = pretrained.load("othello_tiny", tmp_path).model
    expected = pretrained.rounded(model, np.float16)
    for mine, theirs in zip(
        jax.tree.leaves(expected), jax.tree.leaves(loaded), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
        assert theirs.dtype == np.float32


def test_an_unknown_name():
    with pytest.raises(
        ValueError,
        match=r"no trained model 'othello_huge' in .*, but .*maze_small.*; choose one",
    ):
        pretrained.load("othello_huge")


def test_sizes_by_a_name_and_an_unknown_one():
    assert pretrained.preset("othello_tiny") == presets.tiny()
    with pytest.raises(
        ValueError, match=r"no player 'maze_tny', but .*maze_tiny.*; choose"
    ):
        pretrained.preset("maze_tny")


def test_a_changed_file(folder):
    path = folder / "othello_tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    with pytest.raises(ValueError, match="expected that of its card"):
        pretrained.load("othello_tiny", folder)


def test_no_file(tmp_path):
    with pytest.raises(
        ValueError, match=r"'othello_tiny' in .*, but no other; train it with"
    ):
        pretrained.load("othello_tiny", tmp_path)


def test_a_card_without_its_weights(folder):
    (folder / "othello_tiny.safetensors").unlink()
    with pytest.raises(ValueError, match="is not there"):
        pretrained.load("othello_tiny", folder)


def test_a_model_of_another_size(tmp_path):
    other = presets.small().init(random.key(0))
    pretrained.save("othello_tiny", other, {}, tmp_path)
    with pytest.raises(ValueError, match=r"block_2/.* expected"):
        pretrained.load("othello_tiny", tmp_path)


def test_a_layer_of_another_width(tmp_path, model):
    wide = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=-1), model)
    pretrained.save("othello_tiny", wide, {}, tmp_path)
    with pytest.raises(ValueError, match=r"W_E in .* has the shape \(17, 128\), expected"):
        pretrained.load("othello_tiny", tmp_path)


@pytest.mark.parametrize(
    "name", ["maze_small", "maze_tiny", "othello_small", "othello_tiny"]
)
def test_what_is_shipped_loads_and_says_where_it_comes_from(name):
    card = pretrained.load(name).card
    assert {"command", "seed", "device", "seconds", "metrics"} <= set(card)
    json.dumps(card)
