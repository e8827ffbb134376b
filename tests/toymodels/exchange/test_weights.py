"""Folding, passing to ours and back, and what does not fit."""

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels import files
from toymodels.exchange import weights
from toymodels.exchange.weights import Gate, Jump, Largest, OneThreshold, Relu, Weights
from toymodels.sae import FrozenDecoder, Params, ReLU
from toymodels.sae.april import ReLUApril
from toymodels.sae.around.controller import Controlled
from toymodels.sae.around.p_annealing import PAnnealing
from toymodels.sae.around.scaling import Normalised, Uniformly
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.sae.tied import Tied, TiedParams


@pytest.fixture
def plain(rng):
    W_enc, W_dec = rng.normal(size=(7, 10)), rng.normal(size=(10, 7))
    return Weights(W_enc, rng.normal(size=10), W_dec, rng.normal(size=7), Relu())


def test_pre_bias_leaves_pre_activations(plain, x):
    folded = weights.with_pre_bias(plain)
    np.testing.assert_allclose(
        (x - plain.b_dec) @ folded.W_enc + folded.b_enc, x @ plain.W_enc + plain.b_enc
    )


def test_pre_bias_leaves_gates_and_magnitudes(plain, x, rng):
    r_mag, b_gate = rng.normal(size=(2, 10))
    folded = weights.with_pre_bias(plain._replace(rule=Gate(r_mag, b_gate)))
    read = (x - plain.b_dec) @ plain.W_enc
    np.testing.assert_allclose(read + folded.rule.b_gate, x @ plain.W_enc + b_gate)
    np.testing.assert_allclose(
        np.exp(r_mag) * read + folded.b_enc,
        x @ (plain.W_enc * np.exp(r_mag)) + plain.b_enc,
    )


def test_unit_rows_leave_reconstructions(plain, x):
    def x_hat(w):
        return np.maximum((x - w.b_dec) @ w.W_enc + w.b_enc, 0) @ w.W_dec

    folded = weights.with_unit_rows(plain)
    np.testing.assert_allclose(np.linalg.norm(folded.W_dec, axis=1), 1)
    np.testing.assert_allclose(x_hat(folded), x_hat(plain))


def test_every_kind_passes_both_ways(every_kind):
    for name, (dictionary, params) in every_kind.items():
        again, numbers = weights.to_ours(weights.of_ours(dictionary, params))
        assert type(again) is type(dictionary), name
        assert type(numbers) is type(params)
        for one, other in zip(numbers, params, strict=True):
            np.testing.assert_array_equal(one, other)
        for leaf in ("k", "prefixes"):
            assert getattr(again, leaf, None) == getattr(dictionary, leaf, None)


def test_frozen_dictionaries_are_what_they_hold(every_kind):
    dictionary, params = every_kind["TopK"]
    assert weights.of_ours(FrozenDecoder(dictionary), params).rule == Largest(3)


@pytest.mark.parametrize(
    "dictionary",
    [
        ReLUApril(10),
        ReLUApril(10, pre_bias=0.25),
        ReLUApril(10, pre_bias=1.0),
        MatryoshkaReLU(10, (4, 10)),
        PAnnealing(ReLU(10)),
        Controlled(ReLU(10), target_l0=2.0),
        Tied(10),
    ],
    ids=repr,
)
def test_relatives_of_relu_become_relu(every_kind, x, dictionary):
    W_enc, b_enc, W_dec, b_dec = every_kind["ReLU"][1]
    params = Params(W_enc, b_enc, W_dec, b_dec)
    if isinstance(dictionary, Tied):
        params = TiedParams(W_dec, b_enc)
    plain, numbers = weights.to_ours(weights.of_ours(dictionary, params))
    assert isinstance(plain, ReLU)
    z = dictionary.encode(params, jnp.asarray(x))
    # Float32 products of seven terms, a bias folded.
    np.testing.assert_allclose(plain.encode(numbers, jnp.asarray(x)), z, atol=1e-5)
    x_hat = dictionary.decode(params, z)
    np.testing.assert_allclose(plain.decode(numbers, z), x_hat, atol=1e-6)


def test_a_dictionary_behind_a_scaling_is_not_what_it_holds(every_kind):
    dictionary, params = every_kind["ReLU"]
    with pytest.raises(ValueError, match="is a Normalised, expected a variant of"):
        weights.of_ours(Normalised(dictionary, Uniformly(2.0)), params)


def test_negative_thresholds_let_nothing_negative_through(plain, x):
    rule = Jump(np.full(10, -5.0))
    dictionary, params = weights.to_ours(weights.checked("it", plain._replace(rule=rule)))
    assert float(dictionary.encode(params, jnp.asarray(x)).min()) == 0


def test_a_missing_threshold_is_set_where_l0_is_k(plain, x):
    found = weights.checked("it", plain._replace(rule=OneThreshold(1.5, None)))
    with pytest.raises(ValueError, match=r"no threshold .* give samples as x="):
        weights.to_ours(found)
    dictionary, params = weights.to_ours(found, x)
    z = np.asarray(dictionary.encode(params, jnp.asarray(x)))
    assert np.count_nonzero(z) == 1.5 * len(x)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("b_enc", 7), ("W_dec", (7, 10)), ("b_dec", 10), ("W_enc", (10, 7)), ("W_enc", 7)],
)
def test_shapes_that_do_not_fit_are_refused(plain, name, shape):
    with pytest.raises(ValueError, match="in it has shape"):
        weights.checked("it", plain._replace(**{name: np.zeros(shape)}))


@pytest.mark.parametrize("rule", [Jump(np.zeros(7)), Gate(np.zeros(10), np.zeros(9))])
def test_shapes_of_rules_too(plain, rule):
    with pytest.raises(ValueError, match=r"(threshold|b_gate) in it has shape"):
        weights.checked("it", plain._replace(rule=rule))


def test_numbers_that_are_not_finite_are_refused(plain):
    plain.W_dec[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"W_dec in it holds nan at index \(2, 3\)"):
        weights.checked("it", plain)


def test_dictionaries_that_nobody_else_has_are_refused(every_kind):
    class Own:
        pass

    with pytest.raises(ValueError, match="the dictionary is a Own, expected a variant of"):
        weights.of_ours(Own(), every_kind["ReLU"][1])


def test_layer_norm_and_back(x):
    """Against NumPy in float64; the deviation's denominator is d_model - 1."""
    found, mean, std = weights.layer_norm(jnp.asarray(x))
    wide = np.asarray(x, float)
    centred = wide - wide.mean(1, keepdims=True)
    deviation = np.sqrt(np.square(centred).sum(1, keepdims=True) / 6)
    np.testing.assert_allclose(found, centred / (deviation + 1e-5), atol=1e-5)
    np.testing.assert_allclose(found * std + mean, x, atol=1e-4)


def test_normalisation_must_be_said():
    weights.require_normalised("it", False, False)
    weights.require_normalised("it", True, True)
    with pytest.raises(ValueError, match="layer-normalises its inputs"):
        weights.require_normalised("it", True, False)
    with pytest.raises(ValueError, match="takes samples as they are"):
        weights.require_normalised("it", False, True)


def test_settings_that_nest_without_end_are_refused(tmp_path):
    path = tmp_path / "cfg.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match=r"cannot be read .* expected a JSON file"):
        files.read_json(path)
