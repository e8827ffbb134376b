"""The object that stands for a fitted dictionary: what it does, and on disk."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from synthetic import random
from synthetic.worlds import standard
from toymodels import Fitted, fit, fit_many, load
from toymodels.sae import (
    AbsTopK,
    Aligned,
    BatchTopK,
    Controlled,
    FrozenDecoder,
    Gated,
    IstaStep,
    JumpReLU,
    Matryoshka,
    Normalised,
    OrtSAE,
    ReLU,
    Tied,
    TopK,
    training,
)
from toymodels.sae.around import scaling
from toymodels.sae.around.scaling import Uniformly

SETTINGS = {"n_steps": 4, "batch_size": 32}


@pytest.fixture(scope="module")
def world():
    return standard.easy()


@pytest.fixture(scope="module")
def fitted(world):
    return fit(random.key(0), TopK(12, k=2), world, **SETTINGS)


def test_it_does_what_its_variant_does(fitted, world):
    x = world.sample(random.key(1), 5).x
    z = fitted.dictionary.encode(fitted.params, x)
    np.testing.assert_allclose(fitted.encode(x), z, rtol=1e-6)
    x_hat = fitted.dictionary.decode(fitted.params, z)
    np.testing.assert_allclose(fitted(x), x_hat, rtol=1e-5, atol=1e-6)
    assert (fitted.n_latents, fitted.d_model) == (12, 16)
    np.testing.assert_array_equal(fitted.directions, fitted.params.W_dec)
    assert repr(fitted) == "Fitted(TopK, 12 latents, 4 steps)"
    assert fitted.history.metrics["loss"].shape == (1,)


def test_it_is_a_pytree_of_variant_and_weights(fitted):
    doubled = jax.jit(lambda one: jax.tree.map(lambda leaf: 2 * leaf, one))(fitted)
    assert isinstance(doubled, Fitted)
    assert doubled.history is None
    np.testing.assert_array_equal(doubled.params.W_dec, 2 * fitted.params.W_dec)


def test_calls_with_other_leaves_share_one_program(world):
    traced = []

    @struct.dataclass
    class Traced(ReLU):
        def encode(self, params, x):
            traced.append(x.shape)
            return super().encode(params, x)

    params = Traced(6).init(random.key(2), 16)
    x = world.sample(random.key(3), 7).x
    for sparsity in (0.1, 0.2):
        Fitted(Traced(6, sparsity=sparsity), params).encode(x)
    assert len(traced) == 1


VARIANTS = (
    TopK(12, k=2),
    AbsTopK(12, k=2),
    ReLU(12, sparsity=0.25),
    Tied(12),
    Gated(12),
    JumpReLU(12),
    BatchTopK(12, k=1.5),
    Matryoshka(12, (4, 12), k=2.0),
    IstaStep(BatchTopK(12, k=2.0)),
    OrtSAE(BatchTopK(12, k=2.0)),
    Aligned(TopK(12, k=2)),
    FrozenDecoder(TopK(12, k=2)),
    Controlled(ReLU(12), target_l0=2.0),
    Normalised(TopK(12, k=2), Uniformly(2.0, jnp.arange(16.0))),
    Normalised(TopK(12, k=2), scaling.Whitening(jnp.ones(16), jnp.eye(16), jnp.eye(16))),
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: type(v).__name__)
def test_what_is_saved_is_loaded_bit_for_bit(variant, world, tmp_path):
    params = variant.init(random.key(4), 16)
    whole = Fitted(variant, params)
    whole.save(tmp_path / "whole.safetensors")
    again = load(tmp_path / "whole.safetensors")
    assert type(again.dictionary) is type(variant)
    assert jax.tree.structure(again.params) == jax.tree.structure(params)
    for one, other in zip(
        jax.tree.leaves((variant, params)),
        jax.tree.leaves(tuple(again.tree_flatten()[0])),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    x = world.sample(random.key(5), 9).x
    np.testing.assert_array_equal(whole.encode(x), again.encode(x))


@dataclasses.dataclass(frozen=True)
class Own:
    n_latents: int = 3


def test_files_that_cannot_be_read_say_why(fitted, tmp_path):
    path = tmp_path / "one.safetensors"
    with pytest.raises(ValueError, match="is not there, expected a file"):
        load(path)
    fitted.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        load(path)
    path.write_bytes(whole.replace(b'\\"format\\": 1', b'\\"format\\": 7'))
    with pytest.raises(ValueError, match="has format 7, expected 1"):
        load(path)
    path.write_bytes(whole.replace(b'\\"class\\": \\"TopK\\"', b'\\"class\\": \\"TopC\\"'))
    with pytest.raises(ValueError, match=r"holds a TopC, expected a variant .* variants="):
        load(path)
    path.write_bytes(whole.replace(b'\\"aux\\"', b'\\"auy\\"'))
    with pytest.raises(ValueError, match=r"fields .*auy.* this version"):
        load(path)


def test_a_file_of_another_library_is_no_dictionary_of_ours(tmp_path):
    from toymodels import files

    files.write_safetensors(tmp_path / "sae.safetensors", {"W_dec": np.ones((2, 2))})
    with pytest.raises(ValueError, match="holds no description of a dictionary"):
        load(tmp_path / "sae.safetensors")


def test_what_cannot_be_saved_leaves_the_older_file(fitted, tmp_path):
    path = tmp_path / "one.safetensors"
    fitted.save(path)
    before = path.read_bytes()
    broken = dataclasses.replace(fitted, dictionary=fitted.dictionary.replace(aux=len))
    with pytest.raises(ValueError, match=r"dictionary/aux is a builtin\w+, expected a num"):
        broken.save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["one.safetensors"]


def test_a_rate_and_an_optimizer_do_not_go_together(world):
    with pytest.raises(ValueError, match=r"learning_rate=0\.1 came with an optimizer"):
        fit(random.key(0), TopK(4, k=1), world, learning_rate=0.1, optimizer=optax.sgd(0.1))


def test_an_optimizer_and_a_start_of_ones_own(world):
    """One step of plain gradient descent from given weights, by hand."""
    dictionary = ReLU(5, sparsity=0.1, revive=None)
    start = dictionary.init(random.key(6), 16)
    settings = {"n_steps": 1, "batch_size": 64, "optimizer": optax.sgd(0.5), "start": start}
    moved = fit(random.key(7), dictionary, world, **settings).params
    key_batch, _ = jax.random.split(
        jax.random.fold_in(jax.random.split(random.key(7))[1], 0)
    )
    x = world.sample(key_batch, 64).x
    gradient = jax.grad(lambda p: dictionary.loss(p, x, dictionary.memory(p), 0)[0])(start)
    expected = start.b_dec - 0.5 * gradient.b_dec
    np.testing.assert_allclose(moved.b_dec, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "dictionary",
    [
        BatchTopK(12, k=1.5),
        OrtSAE(BatchTopK(12, k=1.5)),
        Aligned(BatchTopK(12, k=1.5)),
        IstaStep(BatchTopK(12, k=1.5)),
        Normalised(BatchTopK(12, k=1.5), Uniformly(3.0, 0.5)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_thresholds_are_calibrated_before_it_is_handed_back(dictionary, world):
    """The L0 on fresh samples is k to within five standard errors.

    Of 8,192 samples to set the threshold on and as many to look, where the number of
    latents on in one sample has a standard deviation below 3: 5 * 3 * sqrt(2 / 8192).
    """
    one = fit(random.key(8), dictionary, world, n_steps=20, batch_size=64)
    z = one.encode(world.sample(random.key(9), 8_192).x)
    assert abs(float((z != 0).sum(1).mean()) - 1.5) < 15 * (2 / 8192) ** 0.5


def test_a_study_fits_every_dictionary_from_every_seed(world):
    dictionaries = [TopK(12, k=1), TopK(12, k=2), ReLU(12, sparsity=0.2)]
    study = fit_many(random.key(10), dictionaries, world, n_seeds=2, **SETTINGS)
    assert list(study) == ["TopK(k=1)", "TopK(k=2)", "ReLU"]
    assert study.n_seeds == 2
    for name, dictionary in zip(study, dictionaries, strict=True):
        assert [one.dictionary for one in study[name]] == [dictionary] * 2
    first, second = study["TopK(k=2)"]
    assert float(jnp.abs(first.params.W_dec - second.params.W_dec).max()) > 1e-3
    assert study["ReLU"][0].history.metrics["loss"].shape == (1,)
    assert "3 dictionaries x 2 seeds" in repr(study)
    with pytest.raises(KeyError, match="there is no dictionary 'TopK', but TopK"):
        study["TopK"]


def test_members_of_a_study_are_compared_on_equal_terms(world):
    """Two equal dictionaries come out equal, and each as the trainer of one gives it."""
    pair = {"a": TopK(12, k=2), "b": TopK(12, k=2)}
    study = fit_many(random.key(11), pair, world, n_seeds=2, **SETTINGS)
    for seed in range(2):
        np.testing.assert_array_equal(*(study[name][seed].directions for name in "ab"))
    assert study.params.W_dec.shape == (2, 2, 12, 16)
    key_init, key_data = jax.random.split(random.key(11))
    for seed in range(2):
        own = jax.random.split(jax.random.clone(key_init), 2)[seed]
        data = jax.random.split(jax.random.clone(key_data), 2)[seed]
        start = pair["a"].init(own, 16)
        optimizer = training.adam(3e-3, 4)
        state = training.loop.start(start, optimizer, pair["a"].memory(start))
        of_one = partial(training.advance, data, pair["a"], world=world, batch_size=32)
        alone, _ = jax.jit(partial(of_one, optimizer=optimizer))(state, n_steps=4)
        # Two programs for the same sums in float32, four steps of size 0.003.
        rows = study["a"][seed].directions
        np.testing.assert_allclose(rows, alone.params.W_dec, atol=1e-5)


def test_a_study_of_nothing_or_of_one_name_twice_is_refused(world):
    with pytest.raises(ValueError, match="there is no dictionary, expected at least one"):
        fit_many(random.key(0), [], world)
    with pytest.raises(ValueError, match="two dictionaries are TopK, expected each once"):
        fit_many(random.key(0), [TopK(4, k=1), TopK(4, k=1)], world)
    with pytest.raises(ValueError, match="n_seeds is 0"):
        fit_many(random.key(0), [TopK(4, k=1)], world, n_seeds=0)
