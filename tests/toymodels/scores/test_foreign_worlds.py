"""Worlds as strangers write them: what they give is scored, or refused in one sentence."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Batch, SparseFeatures, Stored, firing, random
from synthetic.othello import OthelloGame, iago
from synthetic.stored.foreign import Outside
from toymodels.scores import score, streaming
from toymodels.scores.informativeness import informativeness
from toymodels.testing import assert_recovers

N, D = 4, 5
ROWS = np.eye(N, D)
FEW = {"n_samples": 2_048, "block": 512, "draws": 0, "pursuit_samples": 0}


def drawn(generator, batch_size):
    """Features that are present in a quarter of the samples, in float64."""
    shape = (batch_size, N)
    features = (generator.random(shape) < 0.25) * (0.5 + generator.random(shape))
    return features @ ROWS, features


def encode(x):
    return np.maximum(x @ ROWS.T, 0)


def decode(z):
    return z @ ROWS


class Plain:
    """A plain class that draws with a generator of its own, in NumPy."""

    n_features, d_model, directions = N, D, ROWS

    def __init__(self):
        self.generator, self.calls = np.random.default_rng(0), 0

    def sample(self, key, batch_size):
        self.calls += 1
        return Batch(*drawn(self.generator, batch_size))


class Tensor:
    """A stand-in for a tensor that needs a gradient."""

    def __init__(self, array):
        self._array, self._is_detached = array, False

    def detach(self):
        self._is_detached = True
        return self

    def cpu(self):
        return self

    def is_floating_point(self):
        return False

    def numpy(self):
        assert self._is_detached
        return self._array

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


class Tensors(Plain):
    directions = property(lambda self: Tensor(ROWS))

    def sample(self, key, batch_size):
        return Batch(*map(Tensor, super().sample(key, batch_size)))


class OfTuples(Plain):
    def sample(self, key, batch_size):
        return tuple(super().sample(key, batch_size))


class OfDictionaries(Plain):
    def sample(self, key, batch_size):
        return super().sample(key, batch_size)._asdict()


@dataclass
class OfKeys:
    """A dataclass that is no pytree and draws with the key."""

    directions: np.ndarray = field(default_factory=lambda: ROWS)

    def sample(self, key, batch_size):
        bits = np.asarray(jax.random.key_data(key))
        return drawn(np.random.default_rng(bits), batch_size)


@jax.tree_util.register_static
class Static(Plain):
    """Traced once, its draws would be constants of the program."""


@jax.tree_util.register_static
@dataclass(frozen=True)
class InJax:
    """Traceable, with directions in NumPy and a pair in place of a batch."""

    directions = ROWS

    def sample(self, key, batch_size):
        fires = jax.random.bernoulli(key, 0.25, (batch_size, N))
        return fires @ jnp.asarray(ROWS), fires


WORLDS = [Plain, Tensors, OfTuples, OfDictionaries, OfKeys, Static, InJax]


@pytest.mark.parametrize("make", WORLDS)
def test_the_truth_scores_1_in_every_foreign_world(make):
    found = score((encode, decode), make(), random.key(0), **FEW)
    for name in ("mcc_dec", "mcc_act", "feature_f1", "explained_variance"):
        assert found[name] == pytest.approx(1, abs=1e-5)
    # Binomial, 8,192 draws of probability 1/4: five deviations of their mean times four.
    assert found["true_l0"] == pytest.approx(1, abs=0.1)
    assert found.flags == []


@pytest.mark.parametrize("make", [Plain, Static, OfDictionaries])
def test_assert_recovers_takes_them_too(make):
    scores = assert_recovers(encode, decode, world=make())
    assert scores["mcc_act"] == pytest.approx(1, abs=1e-5)
    with pytest.raises(AssertionError, match="does not recover the world"):
        assert_recovers(lambda x: encode(x)[:, :3], lambda z: z @ ROWS[:3], world=make())


def test_a_world_with_its_own_generator_gives_all_the_samples_that_are_claimed():
    """A static world gave the 512 samples of its first trace in each of four blocks."""
    seen = []

    def watching(x):
        seen.append(np.array(x))
        return np.maximum(np.array(x) @ ROWS.T, 0)

    score((watching, decode), Static(), random.key(0), **FEW)
    blocks = {block.tobytes() for block in seen if len(block) == 512}
    assert len(blocks) == 4


def test_controls_see_the_samples_that_the_dictionary_sees():
    world = Plain()
    found = score((encode, decode), world, random.key(0), **FEW)
    # One example, one to compare it with, and four blocks.
    assert world.calls == 6
    assert found.ceiling["true_l0"] == found["true_l0"]
    assert found.floor["true_l0"] == found["true_l0"]


def test_keys_of_a_foreign_world_mean_what_they_mean_elsewhere():
    first, same, other = (
        score((encode, decode), OfKeys(), random.key(seed), **FEW) for seed in (1, 1, 2)
    )
    assert first.values == same.values
    assert first["true_l0"] != other["true_l0"]


class Frozen(Plain):
    def sample(self, key, batch_size):
        return Batch(*drawn(np.random.default_rng(0), batch_size))


@jax.tree_util.register_static
class FrozenStatic(Frozen):
    pass


class FrozenFeatures(Plain):
    """New noise on the same features."""

    def sample(self, key, batch_size):
        x, features = drawn(np.random.default_rng(0), batch_size)
        return Batch(x + 0.01 * self.generator.normal(size=x.shape), features)


@pytest.mark.parametrize("make", [Frozen, FrozenStatic, FrozenFeatures])
def test_a_world_that_repeats_itself_is_refused(make):
    message = r"gave the same \w+ for two keys, expected fresh samples each time; draw from"
    with pytest.raises(ValueError, match=message):
        score((encode, decode), make(), random.key(0), **FEW)
    with pytest.raises(ValueError, match=message):
        assert_recovers(encode, decode, world=make())


def test_blocks_that_are_equal_by_chance_are_not_refused():
    """One sample a block, and features that hardly ever fire."""
    few = {"n_samples": 8, "block": 1, "draws": 0, "pursuit_samples": 0}
    assert score((encode, decode), Plain(), random.key(0), **few).n_samples == 8
    law = firing.Independent(jnp.full(N, 1e-9))
    silent = SparseFeatures(jnp.asarray(ROWS), law, noise=0.1)
    world, example = streaming.opened(silent, random.key(0), 512)
    assert world is silent
    assert not example.features.any()


def returning(output):
    world = Plain()
    world.sample = lambda key, batch_size: output(batch_size)
    return world


def ones(*shape):
    return np.random.default_rng(0).random(shape)


BROKEN = [
    (lambda n: None, TypeError, "sample returned a NoneType, expected x and features; re"),
    (lambda n: {"a": 1}, TypeError, "sample returned a dict with a, expected x and featur"),
    (lambda n: (1, 2, 3), TypeError, "sample returned a tuple of 3, expected x and featur"),
    (lambda n: (ones(D, n), ones(n, N)), ValueError, r"x of the world's sample has shape "),
    (
        lambda n: (ones(n), ones(n, N)),
        ValueError,
        r"x of the world's sample has shape \(40",
    ),
    (
        lambda n: (ones(n, D), np.full((n, N), np.nan)),
        ValueError,
        "features of the world's",
    ),
    (lambda n: (ones(n, D), np.full((n, N), "a")), ValueError, "or no numbers"),
    (
        lambda n: (ones(n, 3), ones(n, N)),
        ValueError,
        r"have shape \(4, 5\), expected \(4, 3",
    ),
    (
        lambda n: n.shape,
        TypeError,
        r"sample raised AttributeError \('int' object has no at",
    ),
]


@pytest.mark.parametrize(("output", "kind", "message"), BROKEN)
def test_what_is_no_sample_is_refused(output, kind, message):
    generator = np.random.default_rng(1)

    def fresh(batch_size):
        made = output(batch_size)
        if isinstance(made, tuple) and isinstance(made[0], np.ndarray):
            x, features = made
            if features.dtype == float:
                features = features + generator.random(features.shape)
            made = (x + generator.random(x.shape), features)
        return made

    with pytest.raises(kind, match=message) as failure:
        score((encode, decode), returning(fresh), random.key(0), **FEW)
    assert "\n" not in str(failure.value)


def test_worlds_without_directions_are_refused():
    game = OthelloGame(iago(4))
    with pytest.raises(TypeError, match="the world is a OthelloGame without directions"):
        assert_recovers(encode, decode, world=game)
    with pytest.raises(TypeError, match="the world's sample returned a Sequences of "):
        score((encode, decode), game, random.key(0))
    with pytest.raises(TypeError, match="the world is a int without sample, expected one"):
        score((encode, decode), 3, random.key(0), **FEW)
    with pytest.raises(TypeError, match="the world is the class Plain, expected an insta"):
        score((encode, decode), Plain, random.key(0), **FEW)
    rows = Stored.of_arrays(np.eye(9, D), np.eye(9, N))
    with pytest.raises(TypeError, match="the world is a Stored without directions"):
        assert_recovers(encode, decode, world=rows)


def test_informativeness_takes_foreign_worlds():
    """x tells each feature linearly."""
    found = informativeness(lambda x: x, Plain(), random.key(0), 512)
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_what_is_kept_is_given_again_for_its_key():
    world = Outside(Plain(), random.key(0), 8)
    assert (world.n_features, world.d_model) == (N, D)
    first, other = world.sample(random.key(1), 8), world.sample(random.key(2), 8)
    np.testing.assert_array_equal(world.sample(random.key(1), 8).x, first.x)
    assert not np.array_equal(first.x, other.x)
    assert first.x.dtype == jnp.float32
