"""The battery on what people write at first: each mistake is told in one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from synthetic import random
from toymodels import testing
from toymodels.sae import Params
from toymodels.training.loop import Outcome


class Sound:
    """A small dictionary that each of the classes below spoils in one way."""

    def __init_subclass__(cls):
        struct.dataclass(cls)

    def init(self, key, d_model):
        W = jax.random.normal(key, (d_model, self.n_latents))
        return Params(W, jnp.zeros(self.n_latents), W.T, jnp.zeros(d_model))

    def memory(self, params):
        return ()

    def encode(self, params, x):
        return jax.nn.relu(x @ params.W_enc + params.b_enc)

    def decode(self, params, z):
        return z @ params.W_dec + params.b_dec

    def loss(self, params, x, memory, step):
        x_hat = self.decode(params, self.encode(params, x))
        value = jnp.mean(jnp.square(x - x_hat))
        return value, Outcome({"mse": value}, memory)

    def after(self, key, state, x):
        return state


class Right(Sound):
    n_latents: int = struct.field(pytree_node=False, default=12)


class LossIsOneNumber(Right):
    def loss(self, params, x, memory, step):
        return super().loss(params, x, memory, step)[0]


class LossHasADictionary(Right):
    def loss(self, params, x, memory, step):
        value = super().loss(params, x, memory, step)[0]
        return value, {"mse": value}


class LossTakesTwo(Right):
    def loss(self, params, x):
        return jnp.mean(x)


class LossHasWideMetrics(Right):
    def loss(self, params, x, memory, step):
        return super().loss(params, x, memory, step)[0], Outcome({"z": x}, memory)


class LossBranches(Right):
    def loss(self, params, x, memory, step):
        if x.sum() > 0:
            return super().loss(params, x, memory, step)
        return jnp.mean(x), Outcome({}, memory)


class NoAfter(Right):
    after = None


class AfterGivesParams(Right):
    def after(self, key, state, x):
        return state.params


class AfterGivesNothing(Right):
    def after(self, key, state, x):
        pass


class WrongProduct(Right):
    def encode(self, params, x):
        return x @ params.W_enc.T


class WrongProductBack(Right):
    def decode(self, params, z):
        return z @ params.W_dec.T


class EncodeGivesAPair(Right):
    def encode(self, params, x):
        z = super().encode(params, x)
        return z, z > 0


class EncodeGivesNothing(Right):
    def encode(self, params, x):
        super().encode(params, x)


class EncodeWithoutParams(Right):
    def encode(self, x):
        return x


class EncodeDraws(Right):
    def encode(self, params, x):
        return super().encode(params, x) + np.random.default_rng().random((len(x), 12))


class DecodeGivesADictionary(Right):
    def decode(self, params, z):
        return {"x_hat": super().decode(params, z)}


class InitGivesNothing(Right):
    def init(self, key, d_model):
        return None


class InitNeedsSeed(Right):
    def init(self, key):
        return None


class MemoryFails(Right):
    def memory(self, params):
        return params.threshold


class TracedWidth(Sound):
    n_latents: int = 12


class IntegerWeights(Right):
    def init(self, key, d_model):
        params = super().init(key, d_model)
        return params._replace(b_dec=jnp.zeros(d_model, int))


class SteersPython(Right):
    scale: float = 1.0

    def encode(self, params, x):
        z = super().encode(params, x)
        return z if self.scale > 0 else -z


class NoPytree(Right):
    def __init_subclass__(cls):
        pass


class PlainClass(NoPytree):
    n_latents = 12

    def __init__(self):
        pass


MISTAKES = [
    (
        LossIsOneNumber,
        r"^loss gave shape \(\), expected a pair \(number, Outcome\(metrics, ",
    ),
    (
        LossHasADictionary,
        r"^loss gave a pair of shape \(\) and a dict, expected a pair \(number, Outcome\(",
    ),
    (
        LossTakesTwo,
        r"^loss raised TypeError \(.*takes 3 positional arguments but 5 were giv",
    ),
    (
        LossHasWideMetrics,
        r"^loss gave metrics .*, expected a dictionary from names to singl",
    ),
    (
        LossBranches,
        r"^loss raised TracerBoolConversionError \(.*, expected a pair \(number,",
    ),
    (
        NoAfter,
        r"^NoAfter has no method after, expected the state, unchanged where nothing ",
    ),
    (
        AfterGivesParams,
        r"^after gave a Params, expected the state, unchanged where nothing i",
    ),
    (
        AfterGivesNothing,
        r"^after gave nothing, expected the state, unchanged where nothing i",
    ),
    (
        WrongProduct,
        r"^encode raised TypeError \(dot_general .*, expected latents \[batch, n_",
    ),
    (
        WrongProductBack,
        r"^decode raised TypeError \(dot_general .*, expected reconstructions",
    ),
    (
        EncodeGivesAPair,
        r"^encode gave a pair of shape \(7, 12\) and shape \(7, 12\), expected \(7, 12\)",
    ),
    (
        EncodeGivesNothing,
        r"^encode gave nothing, expected \(7, 12\); return one row per samp",
    ),
    (EncodeWithoutParams, r"^encode raised TypeError .* called as encode\(params, x\)$"),
    (EncodeDraws, r"^encode is not deterministic: it gave other codes for the same batch "),
    (
        DecodeGivesADictionary,
        r"^decode gave a dict, expected \(7, 5\); W_dec is \[latent, d_",
    ),
    (
        InitGivesNothing,
        r"^init gave nothing without arrays, expected the weights, a pytree o",
    ),
    (InitNeedsSeed, r"^init raised TypeError .*; it is called as init\(key, d_model\)$"),
    (
        MemoryFails,
        r"^memory raised AttributeError \('Params' object has no attribute 'thresh",
    ),
    (
        TracedWidth,
        r"^n_latents is a leaf, expected a static field, for it decides shapes; writ",
    ),
    (
        IntegerWeights,
        r"^the gradient of loss raised TypeError .* leaves must be float arrays$",
    ),
    (
        SteersPython,
        r"^encode under vmap raised TracerBool.*, expected no exception; leaves m",
    ),
    (
        PlainClass,
        r"^PlainClass is no pytree, expected one; decorate its class with flax.stru",
    ),
]


def test_the_sound_one_passes():
    testing.check(Right(), random.key(0))


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_sentence(mistake, message):
    with pytest.raises(AssertionError, match=message) as failure:
        testing.check(mistake(), random.key(0))
    assert "\n" not in str(failure.value)


def test_a_seed_is_no_key():
    with pytest.raises(TypeError, match="key is 0, expected one random key"):
        testing.check(Right(), 0)


def test_what_cannot_be_trained_is_told_so(easy_world):
    with pytest.raises(
        AssertionError, match="NoAfter has no method after, expected the st"
    ):
        testing.check_recovers(NoAfter(), easy_world, random.key(0))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (3, "^n_latents of int is None, expected a positive int"),
        (Right, "^the dictionary is the class Right, expected an instance; write"),
        (Right(n_latents=12.0), "^n_latents of Right is 12.0, expected a positive int"),
        (Right(n_latents=np.int64(0)), "^n_latents of Right is np.int64.0., expected"),
    ],
)
def test_what_is_no_dictionary_is_told_so(thing, message):
    with pytest.raises(AssertionError, match=message):
        testing.check(thing, random.key(0))
