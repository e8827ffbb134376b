"""Dictionaries in the shapes of other libraries, made of NumPy, give the same codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.exchange import adapters
from toymodels.sae import Params, TopK
from toymodels.scores.callables import callable_on_arrays, decoder_rows

N_LATENTS, D_MODEL, K = 6, 4, 2
RNG = np.random.default_rng(0)
W_DEC = RNG.normal(size=(N_LATENTS, D_MODEL)).astype(np.float32)
W_ENC = RNG.normal(size=(D_MODEL, N_LATENTS)).astype(np.float32)
B_DEC = RNG.normal(size=D_MODEL).astype(np.float32)
X = RNG.normal(size=(9, D_MODEL)).astype(np.float32)

BEFORE = np.maximum((X - B_DEC) @ W_ENC, 0)
INDEX = np.argsort(-BEFORE, axis=1)[:, :K]
CODES = np.zeros_like(BEFORE)
np.put_along_axis(CODES, INDEX, np.take_along_axis(BEFORE, INDEX, 1), 1)


class Tensor:
    """As much of torch.Tensor as the adapters use, with its refusals."""

    def __init__(self, array, dtype=np.float32, grad=True, sparse=False, half=False):
        self.array, self.grad, self.half = np.asarray(array, dtype), grad, half
        self.is_sparse = sparse

    @property
    def shape(self):
        return self.array.shape

    def like(self, **changes):
        kept = {"grad": self.grad, "sparse": self.is_sparse, "half": self.half}
        return Tensor(self.array, self.array.dtype, **kept | changes)

    def new_tensor(self, data):
        assert isinstance(data, np.ndarray)
        return Tensor(data, self.array.dtype, grad=False, half=self.half)

    def new_zeros(self, size):
        return self.new_tensor(np.zeros(size))

    def long(self):
        return Tensor(self.array, np.int64, grad=False)

    def float(self):
        return self.like(half=False)

    def detach(self):
        return self.like(grad=False)

    def to_dense(self):
        return self.like(sparse=False)

    def cpu(self):
        return self

    def is_floating_point(self):
        return self.array.dtype == np.float32

    def numpy(self):
        refused = self.grad or self.is_sparse or self.half
        if refused:
            raise RuntimeError("requires grad, or no such dtype or layout in NumPy")
        return self.array

    def __array__(self, dtype=None, copy=None):
        return self.numpy()


class Module:
    """A torch module: it takes tensors alone."""

    def __init__(self, half=False):
        self.training, self.half = True, half
        self.W_dec = Tensor(W_DEC, half=half)

    def parameters(self):
        yield self.W_dec

    def modules(self):
        yield self

    def given(self, tensor):
        assert isinstance(tensor, Tensor)
        assert tensor.half == self.half
        return tensor.array

    def codes(self, x):
        before = np.maximum((self.given(x) - B_DEC) @ W_ENC, 0)
        index = np.argsort(-before, axis=1)[:, :K]
        codes = np.zeros_like(before)
        np.put_along_axis(codes, index, np.take_along_axis(before, index, 1), 1)
        return before, index, codes


class SaeLens(Module):
    def encode(self, x):
        return Tensor(self.codes(x)[2], sparse=True, half=self.half)

    def decode(self, z):
        return Tensor(self.given(z) @ W_DEC + B_DEC, half=self.half)


class DictionaryLearning(SaeLens):
    def encode(self, x, return_gate=False):
        return Tensor(self.codes(x)[2])


class Sparsify(Module):
    num_latents = N_LATENTS

    def encode(self, x):
        before, index, _ = self.codes(x)
        values = np.take_along_axis(before, index, 1)
        return Tensor(values), Tensor(index, np.int64, grad=False), Tensor(before)

    def decode(self, top_acts, top_indices):
        assert top_indices.array.dtype == np.int64
        gathered = W_DEC[top_indices.array] * self.given(top_acts)[..., None]
        return Tensor(gathered.sum(1) + B_DEC)


class Overcomplete(SaeLens):
    def encode(self, x):
        before, _, codes = self.codes(x)
        return Tensor(before), Tensor(codes)


class OpenAI(SaeLens):
    def encode(self, x):
        return Tensor(self.codes(x)[2]), {}

    def decode(self, z, info=None):
        return super().decode(z)


class InNumPy:
    """No module at all."""

    def encode(self, x):
        return np.where(CODES != 0, np.maximum((x - B_DEC) @ W_ENC, 0), 0)

    def decode(self, z):
        return z @ W_DEC + B_DEC


DICTIONARIES = [
    SaeLens(),
    SaeLens(half=True),
    DictionaryLearning(),
    Sparsify(),
    Overcomplete(),
    OpenAI(),
    InNumPy(),
    (SaeLens().encode, SaeLens().decode),
    (TopK(N_LATENTS, k=K), Params(W_ENC, np.zeros(N_LATENTS, np.float32), W_DEC, B_DEC)),
]


@pytest.mark.parametrize("dictionary", DICTIONARIES, ids=lambda d: type(d).__name__)
def test_codes_reconstructions_and_rows(dictionary):
    encode, decode = adapters.adapt(dictionary)
    encode, decode = callable_on_arrays(encode, X), callable_on_arrays(decode, CODES)
    # Float32 products of at most six terms, in another order.
    np.testing.assert_allclose(encode(jnp.asarray(X)), CODES, atol=1e-5)
    expected = CODES @ W_DEC + B_DEC
    np.testing.assert_allclose(decode(jnp.asarray(CODES)), expected, atol=1e-5)
    rows = decoder_rows(decode, N_LATENTS, random.key(0))
    np.testing.assert_allclose(rows, W_DEC, atol=1e-5)


def test_functions_stay_traceable():
    encode, decode = adapters.adapt(lambda x: x @ W_ENC, lambda z: z @ W_DEC)
    assert jax.eval_shape(encode, jnp.asarray(X)).shape == CODES.shape
    assert jax.eval_shape(decode, jnp.asarray(CODES)).shape == X.shape


def test_modules_are_called_in_evaluation_mode_and_put_back():
    class Parts(SaeLens):
        def __init__(self):
            super().__init__()
            self.trained, self.frozen = Module(), Module()
            self.frozen.training = False

        def modules(self):
            return iter([self, self.trained, self.frozen])

        def encode(self, x):
            assert not any(part.training for part in self.modules())
            if fails:
                raise KeyError("inside")
            return super().encode(x)

    sae, fails = Parts(), False
    encode = adapters.adapt(sae).encode
    encode(X)
    assert [part.training for part in sae.modules()] == [True, True, False]
    fails = True
    with pytest.raises(KeyError, match="inside"):
        encode(X)
    assert [part.training for part in sae.modules()] == [True, True, False]


def test_codes_that_need_statistics_of_the_sample_are_refused():
    class Normalised(OpenAI):
        def encode(self, x):
            return super().encode(x)[0], {"mu": 0, "std": 1}

    with pytest.raises(ValueError, match="encode returned mu, std of each sample"):
        adapters.adapt(Normalised()).encode(X)


def test_tuples_that_could_mean_anything_are_refused():
    class Other(SaeLens):
        def encode(self, x):
            before, _, codes = self.codes(x)
            return Tensor(codes), Tensor(before)

    with pytest.raises(ValueError, match=r"shapes \(9, 6\) and \(9, 6\), expected codes"):
        adapters.adapt(Other()).encode(X)


def test_indices_without_a_width_are_refused():
    class Unknown(Sparsify):
        num_latents, W_dec = None, None

        def __init__(self):
            self.training = True

        def parameters(self):
            yield Tensor(W_DEC)

        half = False

    with pytest.raises(ValueError, match="without num_latents or W_dec"):
        adapters.adapt(Unknown()).encode(X)


@pytest.mark.parametrize("thing", [3, (1, 2), lambda x: x, (TopK(6), None, 2)])
def test_what_is_no_dictionary_is_refused(thing):
    with pytest.raises(TypeError, match="expected a pair"):
        adapters.adapt(thing)
