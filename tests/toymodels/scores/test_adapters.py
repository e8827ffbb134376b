"""Dictionaries in the shapes of other libraries, made of NumPy, give the same codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, magnitude, random
from toymodels.sae import Params, SkipTranscoder, TopK
from toymodels.sae.elsewhere.transcoder import SkipParams
from toymodels.scores import adapters, score
from toymodels.scores.callables import WithForward, callable_on_arrays, decoder_rows
from toymodels.scores.prepared import prepare

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


def test_a_dictionary_without_its_weights_is_told_so():
    with pytest.raises(TypeError, match=r"is a TopK whose encode takes .*; give \(dictio"):
        adapters.adapt(TopK(6, k=2))
    with pytest.raises(TypeError, match="is the class SaeLens, expected an instance"):
        adapters.adapt(SaeLens)


@pytest.mark.parametrize("thing", [3, (1, 2), lambda x: x, (TopK(6), None, 2)])
def test_what_is_no_dictionary_is_refused(thing):
    with pytest.raises(TypeError, match="expected a pair"):
        adapters.adapt(thing)


class OnlyBuffers(SaeLens):
    """Weights that are registered as buffers."""

    def parameters(self):
        return iter(())

    def buffers(self):
        yield Tensor(np.arange(3), np.int64)
        yield self.W_dec


class OtherFirst(SaeLens):
    """The first parameter is a mask, the second a number in another dtype."""

    def parameters(self):
        yield Tensor(np.ones(90), np.int64)
        yield Tensor(1.0, half=True)
        yield self.W_dec


class Called(SaeLens):
    """Called as a module it gives several things; torch calls `forward` like this."""

    def __call__(self, x):
        return self.encode(x), {}


@pytest.mark.parametrize(
    "dictionary",
    [OnlyBuffers(), OtherFirst(), (Called(), SaeLens().decode)],
    ids=["buffers", "other dtype first", "module that gives a pair"],
)
def test_modules_get_tensors_like_their_weights(dictionary):
    test_codes_reconstructions_and_rows(dictionary)


def test_methods_of_modules_are_scored_as_they_are():
    """Without `adapt`, in training mode and in half precision."""
    world = SparseFeatures.random(random.key(1), N_LATENTS, D_MODEL, 0.3)
    sae = SaeLens(half=True)
    settings = {"n_samples": 512, "block": 256, "draws": 0, "pursuit_samples": 0}
    found = score((sae.encode, sae.decode), world, random.key(2), **settings)
    same = score(adapters.adapt(SaeLens()), world, random.key(2), **settings)
    assert found.values == same.values
    assert sae.training


@pytest.mark.parametrize(
    ("method", "output", "message"),
    [
        ("decode", (1, 2), "decode returned a tuple, expected one tensor"),
        ("decode", None, "decode returned a NoneType, expected one tensor"),
        ("encode", {"z": 1}, "encode returned a dict, expected codes"),
        ("encode", None, "encode returned a NoneType, expected codes"),
    ],
)
def test_what_is_no_array_is_refused(method, output, message):
    sae = SaeLens()
    setattr(sae, method, lambda array: output)
    callables = adapters.adapt(sae)
    with pytest.raises(ValueError, match=message):
        getattr(callables, method)(X)


# Transcoders: what `forward` adds to decode(encode(x)).

WORLD = SparseFeatures(
    directions.orthogonal(random.key(1), D_MODEL, D_MODEL),
    firing.Independent(firing.constant(D_MODEL, 0.3)),
    magnitude.Constant(1.0),
)
SKIP = np.diag([0.5, 1, -1, 0]).astype(np.float32)


class SkipModule(SaeLens):
    """decode(encode(x)) + x SKIP, in whatever form `shown` gives it."""

    def shown(self, x, z, x_hat):
        return Tensor(x_hat)

    def forward(self, x):
        z = self.encode(x).like(sparse=False)
        x_hat = self.decode(z).array + self.given(x) @ SKIP
        return self.shown(x, z, x_hat)


class Sparsifys(SkipModule):
    """Named `sae_out`, beside an array of the same shape."""

    def shown(self, x, z, x_hat):
        class Output:
            sae_out, residual = Tensor(x_hat), Tensor(x.array - x_hat)

        return Output()


class InADict(SkipModule):
    def shown(self, x, z, x_hat):
        return {"sae_out": Tensor(x_hat), "x": x, "loss": 0.1}


class InATuple(SkipModule):
    def shown(self, x, z, x_hat):
        return z, Tensor(x_hat), Tensor(0.5)


def ours_with_a_skip():
    params = SkipParams(W_ENC, -(B_DEC @ W_ENC), W_DEC, B_DEC, SKIP)
    return SkipTranscoder(N_LATENTS, k=K), params


def prepared(dictionary):
    example = WORLD.sample(random.key(2), 512)
    return prepare(adapters.adapt(dictionary), WORLD, example, random.key(3)), example


@pytest.mark.parametrize(
    "dictionary",
    [SkipModule(), Sparsifys(), InADict(), InATuple(), ours_with_a_skip()],
    ids=lambda one: type(one).__name__,
)
def test_a_skip_connection_is_part_of_the_reconstruction(dictionary):
    """Against NumPy: z W_dec + b_dec + x SKIP, and the rows of W_dec."""
    found, batch = prepared(dictionary)
    z, x_hat = found.codes(batch)
    x = np.asarray(batch.x)
    of_latents = np.asarray(z) @ W_DEC + B_DEC
    # Float32 products of at most six terms.
    np.testing.assert_allclose(x_hat, of_latents + x @ SKIP, atol=1e-5)
    np.testing.assert_allclose(found.W_dec, W_DEC, atol=1e-5)
    (note,) = found.notes
    size = max(np.linalg.norm(of_latents + x @ SKIP), np.linalg.norm(of_latents))
    gap = np.linalg.norm(x @ SKIP) / size
    assert note.startswith(f"forward(x) differs from decode(encode(x)) by {gap:.1%}, as")


def test_the_skip_stays_where_rows_are_permuted_or_signs_flipped():
    found, batch = prepared(SkipModule())
    order = np.array([3, 0, 4, 1, 2, 5])
    x = np.asarray(batch.x)
    z, x_hat = found.permuted(order, batch)
    read = z[:, np.argsort(order)]
    np.testing.assert_allclose(x_hat, read @ W_DEC + B_DEC + x @ SKIP, atol=1e-5)
    minus, same = found.flipped(batch)
    np.testing.assert_array_equal(minus, -z)
    np.testing.assert_allclose(same, z @ W_DEC + B_DEC + x @ SKIP, atol=1e-5)


def test_a_transcoder_whose_forward_is_the_identity_explains_everything():
    class Identity(SaeLens):
        def forward(self, x):
            return x

    found = score(
        adapters.adapt(Identity()), WORLD, random.key(4), 512, 256, pursuit_samples=0
    )
    assert found["explained_variance"] == pytest.approx(1, abs=1e-6)
    assert found.flags[0].startswith("forward(x) differs from decode(encode(x))")
    assert "reconstructions are scored as forward's" in str(found)


class Plain(SaeLens):
    def forward(self, x):
        return self.decode(self.encode(x).like(sparse=False))


class WithErrorTerm(SkipModule):
    use_error_term = True


class Abstract(SaeLens):
    """As torch.nn.Module where a subclass has none."""

    def forward(self, *inputs):
        raise NotImplementedError


class LikeOvercomplete(Overcomplete):
    def forward(self, x):
        before, codes = self.encode(x)
        return before, codes, self.decode(codes)


class Several(LikeOvercomplete):
    """The input beside the reconstruction, which is decode(encode(x))."""

    def forward(self, x):
        return x, super().forward(x)[2]


@pytest.mark.parametrize(
    "module", [Plain(), WithErrorTerm(), Abstract(), LikeOvercomplete(), Several()]
)
def test_a_forward_that_adds_nothing_changes_nothing(module):
    found, batch = prepared(module)
    assert found.forward is None
    assert found.notes == []
    z, x_hat = found.codes(batch)
    np.testing.assert_allclose(x_hat, z @ W_DEC + B_DEC, atol=1e-5)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: 3.0, "forward(x) returned no array, not a reconstruction"),
        (lambda x: Tensor(x.array[:, :2]), "forward(x) returned (512, 2), not a recon"),
        (lambda x: x.array["loss"], "forward(x) raised IndexError, so it is not known"),
    ],
    ids=["loss", "width", "raises"],
)
def test_a_forward_that_is_not_understood_is_said(returned, said):
    class Other(SaeLens):
        def forward(self, x):
            return returned(x)

    found, _ = prepared(Other())
    assert found.forward is None
    (note,) = found.notes
    assert note.startswith(said)
    assert note.endswith("whether it adds to decode(encode(x)), which is scored")


def test_a_forward_that_could_mean_two_things_is_refused():
    class Two(SaeLens):
        def forward(self, x):
            return x, Tensor(2 * x.array)

    expected = r"2 arrays of shape \(512, 4\), none of them decode\(encode\(x\)\), expected"
    with pytest.raises(ValueError, match=expected):
        prepared(Two())


def test_forward_runs_in_evaluation_mode():
    class Noisy(Plain):
        def forward(self, x):
            assert not self.training
            return super().forward(x)

    module = Noisy()
    found, _ = prepared(module)
    assert found.notes == []
    assert module.training
    assert isinstance(adapters.adapt(module).decode, WithForward)
