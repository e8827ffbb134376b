"""The conformance check: our worlds pass it, and each kind of broken world does not."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic import Batch, SparseFeatures, directions, firing, magnitude, random, testing

N, D = 6, 4


def rows():
    return directions.random(random.key(0), N, D)


WORLDS = {
    "noisy": lambda: SparseFeatures(
        rows(),
        firing.Independent(firing.zipf(N, 0.5, 0.9, 0.1)),
        magnitude.RectifiedNormal(jnp.linspace(2.0, 1.0, N), 0.5),
        bias=jnp.arange(4.0),
        noise=0.1,
    ),
    "exactly two": lambda: SparseFeatures(
        directions.antipodal_pairs(3), firing.ExactlyK(N, 2), magnitude.FoldedNormal()
    ),
    "a zero direction": lambda: SparseFeatures(
        rows().at[2].set(0), firing.Independent(firing.linear(N, 0.5, 0.2))
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_our_worlds_pass(name):
    testing.check(WORLDS[name](), random.key(1))


@struct.dataclass
class Sound:
    """A minimal world, which each broken one below spoils in one way."""

    directions: Array
    scale: ArrayLike = 1.0

    def __init_subclass__(cls):
        struct.dataclass(cls)

    @property
    def n_features(self):
        return self.directions.shape[-2]

    @property
    def d_model(self):
        return self.directions.shape[-1]

    def features(self, key, batch_size):
        return self.scale * jax.random.normal(key, (batch_size, self.n_features))

    def sample(self, key, batch_size):
        features = self.features(key, batch_size)
        return Batch(features @ self.directions, features)

    def do(self, key, batch_size, feature, value):
        features = self.features(key, batch_size).at[:, feature].set(value)
        return Batch(features @ self.directions, features)


class IgnoresKey(Sound):
    def features(self, key, batch_size):
        return super().features(jax.random.key(0), batch_size)


class ReusesKey(Sound):
    def features(self, key, batch_size):
        gate = jax.random.bernoulli(key, 0.5, (batch_size, self.n_features))
        return gate * jax.random.normal(key, gate.shape)


class RepeatsRow(Sound):
    def features(self, key, batch_size):
        return jnp.repeat(super().features(key, 1), batch_size, axis=0)


class CountsCalls(Sound):
    calls = itertools.count()

    def features(self, key, batch_size):
        return super().features(jax.random.fold_in(key, next(self.calls)), batch_size)


class SwapsAxes(Sound):
    def sample(self, key, batch_size):
        x, features = super().sample(key, batch_size)
        return Batch(x.T, features)


class DropsFeature(Sound):
    def sample(self, key, batch_size):
        x, features = super().sample(key, batch_size)
        return Batch(x, features[:, 1:])


class Overflows(Sound):
    def features(self, key, batch_size):
        return super().features(key, batch_size).at[1, 2].set(jnp.inf) * self.scale


class CountsFeatures(Sound):
    def sample(self, key, batch_size):
        x, features = super().sample(key, batch_size)
        return Batch(x, (features > 0).astype(jnp.int32))


class ReturnsPair(Sound):
    def sample(self, key, batch_size):
        return tuple(super().sample(key, batch_size))


class Raises(Sound):
    def sample(self, key, batch_size):
        raise OSError("no such file")


class Branches(Sound):
    def features(self, key, batch_size):
        features = super().features(key, batch_size)
        return features if self.scale > 0 else -features


class DiffersUnderJit(Sound):
    def features(self, key, batch_size):
        factor = 1.001 if isinstance(key, jax.core.Tracer) else 1.0
        return factor * super().features(key, batch_size)


@jax.custom_batching.custom_vmap
def forgets(scale):
    return 1.0 * scale


@forgets.def_vmap
def _(axis_size, in_batched, scale):
    return jnp.full_like(scale, scale.ravel()[0]), True


class ForgetsWorld(Sound):
    """Under vmap every world gets the scale of the first."""

    def features(self, key, batch_size):
        scale = forgets(jnp.asarray(self.scale))
        return scale * jax.random.normal(key, (batch_size, self.n_features))


class RefusesStack(Sound):
    def __post_init__(self):
        if jnp.ndim(self.directions) != 2:
            raise TypeError("two axes, please")


class StaticScale(Sound):
    scale: float = struct.field(pytree_node=False, default=1.0)


class StaticPower(Sound):
    power: int = struct.field(pytree_node=False, default=1)

    def features(self, key, batch_size):
        return super().features(key, batch_size) ** self.power


class MovesTooFar(Sound):
    def do(self, key, batch_size, feature, value):
        forced = super().do(key, batch_size, feature, value)
        before = self.sample(jax.random.clone(key), batch_size)
        return Batch(2 * forced.x - before.x, forced.features)


class MovesNothing(Sound):
    def do(self, key, batch_size, feature, value):
        forced = super().do(key, batch_size, feature, value)
        return Batch(self.sample(jax.random.clone(key), batch_size).x, forced.features)


class DrawsAnew(Sound):
    def do(self, key, batch_size, feature, value):
        return super().do(jax.random.fold_in(key, 1), batch_size, feature, value)


class ForcesNeighbour(Sound):
    def do(self, key, batch_size, feature, value):
        return super().do(key, batch_size, (feature + 1) % N, value)


class NoPytree:
    n_features, d_model = N, D

    def sample(self, key, batch_size):
        return Sound(rows()).sample(key, batch_size)


class NoSample(NamedTuple):
    directions: Array
    n_features: int = N
    d_model: int = D


@struct.dataclass
class TracedWidth:
    directions: Array
    n_features: ArrayLike
    d_model: int = struct.field(pytree_node=False, default=D)
    sample = Sound.sample


BROKEN = [
    (lambda: IgnoresKey(rows()), r"^two different keys gave the same x, expected differ"),
    (lambda: ReusesKey(rows()), r"^sample used one key for two draws, .*; split it into"),
    (lambda: RepeatsRow(rows()), r"^all rows of a batch are equal, expected independent"),
    (lambda: CountsCalls(rows()), r"^x differs by .* between two calls with one key, exp"),
    (lambda: SwapsAxes(rows()), r"^x has shape \(4, 8\), expected \(8, 4\); rows are s"),
    (lambda: DropsFeature(rows()), r"^features has shape \(8, 5\), expected \(8, 6\)"),
    (lambda: Overflows(rows()), r"holds NaN or infinity, expected finite numbers; look"),
    (lambda: CountsFeatures(rows()), r"^features has dtype int32, expected a floating"),
    (lambda: ReturnsPair(rows()), r"^sample returned a tuple without x, expected x and"),
    (lambda: Raises(rows()), r"^sample raised OSError \(no such file\), expected no exc"),
    (lambda: Branches(rows()), r"^sample under jax.jit raised TracerBool.*; use no Pyth"),
    (lambda: DiffersUnderJit(rows()), r"^x of sample under jax.jit differs from eager by"),
    (lambda: ForgetsWorld(rows()), r"^x of sample under jax.vmap \(world 1, key 0\) diff"),
    (lambda: RefusesStack(rows()), r"^stacking two worlds raised TypeError \(two axes"),
    (lambda: StaticScale(rows()), r"^the static field scale of StaticScale is a float, e"),
    (lambda: NoPytree(), r"^NoPytree is no pytree, expected one; decorate its class"),
    (lambda: NoSample(rows()), r"^NoSample has no sample, expected n_features, d_model"),
    (lambda: TracedWidth(rows(), jnp.int32(N)), r"^n_features is Array.*, expected a pos"),
    (lambda: Sound(1.5 * rows()), r"^direction 0 has length 1.5, expected 1 \(or a row"),
    (lambda: MovesTooFar(rows()), r"^x of do\(feature=0, value=0\) differs from sample"),
    (lambda: MovesNothing(rows()), r"^x of do\(feature=0, value=0\) differs from sample"),
    (lambda: DrawsAnew(rows()), r"of do\(feature=0, value=0\) differs .*; draw with the k"),
    (lambda: ForcesNeighbour(rows()), r"^\w+ of do\(feature=0, value=0\) differs from sa"),
]


class ReturnsLists(Sound):
    def sample(self, key, batch_size):
        x, features = super().sample(key, batch_size)
        return Batch(x.tolist(), features)


def test_parts_that_are_no_arrays_are_told_so():
    with pytest.raises(AssertionError, match=r"^x is a list, expected an array; return ar"):
        testing.check(ReturnsLists(rows()), random.key(4))
    with pytest.raises(TypeError, match="key is 4, expected one random key"):
        testing.check(Sound(rows()), 4)


def test_the_sound_world_passes():
    testing.check(Sound(rows()), random.key(3))


def test_a_given_second_world_passes():
    testing.check(Sound(rows()), random.key(2), other=Sound(-rows(), 3.0))


@pytest.mark.parametrize(("make", "message"), BROKEN)
def test_broken_worlds_fail_in_one_sentence(make, message):
    with pytest.raises(AssertionError, match=message) as failure:
        testing.check(make(), random.key(4))
    assert "\n" not in str(failure.value)


def test_key_reuse_is_found_where_jax_does_not_look_for_it():
    with (
        jax.debug_key_reuse(False),
        pytest.raises(AssertionError, match="one key for two draws"),
    ):
        testing.check(ReusesKey(rows()), random.key(4))


def test_a_static_number_that_changes_is_a_second_trace():
    """The check of one world cannot know that an int changes no shape; two worlds can."""
    worlds = [StaticPower(rows(), power=power) for power in (1, 3)]
    testing.check(worlds[0], random.key(5))
    with pytest.raises(AssertionError, match=r"^jax.jit traced sample 2 times for two wor"):
        testing.check(worlds[0], random.key(5), other=worlds[1])


def test_the_batch_differs_from_both_widths():
    sizes = set()

    class Records(Sound):
        def sample(self, key, batch_size):
            sizes.add(batch_size)
            return super().sample(key, batch_size)

    testing.check(Records(jnp.eye(N, N - 1)), random.key(6), batch_size=N - 1)
    assert sizes == {N + 1}


def test_the_same_key_may_be_checked_again():
    """The check spends only what it splits off."""
    key = random.key(7)
    for _ in range(2):
        testing.check(Sound(rows()), jax.random.clone(key))
    np.testing.assert_array_equal(jax.random.key_data(key), [0, 7])
