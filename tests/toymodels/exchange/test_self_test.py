"""What the tests at the end of an import see, and what they cannot."""

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.exchange import self_test
from toymodels.exchange.self_test import Reference

D = 24


@pytest.fixture
def trained(rng):
    """Encoder columns along decoder rows, with noise: a mean cosine of about 0.6."""
    W_dec = rng.normal(size=(D, D))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    noise = rng.normal(size=(D, D)) / np.sqrt(D)
    return (W_dec + 1.3 * noise).T, W_dec


def orientation(W_enc, W_dec):
    self_test.require_orientation("it", W_enc, W_dec)


def test_the_fit_of_a_trained_dictionary(trained):
    W_enc, W_dec = trained
    cosine = [
        W_enc[:, i] @ W_dec[i] / np.linalg.norm(W_enc[:, i]) / np.linalg.norm(W_dec[i])
        for i in range(D)
    ]
    assert self_test.fit(W_enc, W_dec) == pytest.approx(np.mean(cosine))
    assert 0.5 < np.mean(cosine) < 0.7
    orientation(W_enc, W_dec)


def test_one_transposed_matrix_is_seen(trained):
    W_enc, W_dec = trained
    for pair in ((W_enc, W_dec.T), (W_enc.T, W_dec)):
        with pytest.raises(ValueError, match="one of the two was written in the other"):
            orientation(*pair)


def test_scales_and_signs_of_latents_do_not_matter(trained, rng):
    W_enc, W_dec = trained
    scale = rng.uniform(0.1, 10, D)
    orientation(W_enc * scale, W_dec / scale[:, None])
    with pytest.raises(ValueError, match="one of the two"):
        orientation(W_enc * scale, (W_dec / scale[:, None]).T)


def test_both_transposed_is_seen_by_unit_rows_alone(trained, rng):
    W_enc, W_dec = trained
    with pytest.raises(ValueError, match="both matrices were written in the other"):
        orientation(W_enc.T, W_dec.T)
    # With free norms a tied pair says nothing: this cannot be known without samples.
    free = W_dec * rng.uniform(0.5, 2, (D, 1))
    orientation(free, free.T)
    orientation(free.T, free)


def test_dictionaries_without_a_fit_pass(rng):
    """Untrained, unrelated matrices are no evidence; neither is what is not square."""
    for _ in range(50):
        orientation(*rng.normal(size=(2, D, D)))
        orientation(*rng.normal(size=(2, 4, 4)))
    orientation(rng.normal(size=(D, 5)), rng.normal(size=(5, D)))
    orthogonal = np.linalg.qr(rng.normal(size=(D, D)))[0]
    orientation(orthogonal.T, orthogonal)


def reference(params, **changed):
    """ReLU in float64, with something changed."""
    W_enc, b_enc, W_dec, b_dec = (np.asarray(leaf, float) for leaf in params)
    W_dec = W_dec * changed.get("scale", 1)
    before = changed.get("before", b_dec)
    floor = changed.get("threshold", 0)

    def encode(x):
        pre = (x - before) @ W_enc + b_enc
        return np.where(pre > floor, pre, 0)

    return Reference(encode, lambda z: z @ W_dec + changed.get("after", b_dec))


def test_an_independent_form_agrees(every_kind):
    pair = every_kind["ReLU"]
    assert self_test.passed("it", *pair, reference(pair[1])) == pair


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"before": 0}, "the codes of it are off by up to"),
        ({"threshold": 0.3}, "the codes of it are off by up to"),
        ({"after": 0}, "reconstructions of it are off by up to"),
        ({"scale": 1.001}, "reconstructions of it are off by up to"),
    ],
)
def test_another_computation_is_seen(every_kind, changed, match):
    pair = every_kind["ReLU"]
    with pytest.raises(ValueError, match=match):
        self_test.passed("it", *pair, reference(pair[1], **changed))


def test_samples_of_another_kind_are_seen(every_kind, x):
    """Its own sums of rows it reconstructs; far from b_dec it adds to the error."""
    dictionary, params = every_kind["ReLU"]
    rng = np.random.default_rng(4)
    codes = rng.uniform(1, 2, (200, 10)) * (rng.uniform(size=(200, 10)) < 0.15)
    own = codes @ np.asarray(params.W_dec) + np.asarray(params.b_dec)
    self_test.require_reconstruction("it", dictionary, params, jnp.asarray(own, "f4"))
    wrong = params._replace(W_dec=-params.W_dec)
    with pytest.raises(ValueError, match="of the variance of the samples unexplained"):
        self_test.require_reconstruction("it", dictionary, wrong, jnp.asarray(own, "f4"))
